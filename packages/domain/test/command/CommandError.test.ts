import {
  Epoch,
  IdempotencyConflict,
  Position,
  PositionAhead,
  PositionFromOtherEpoch,
  Pubkey,
  RelayAlreadyExists,
  RelayId,
  RelayNotFound,
  StorageError,
  Subdomain,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"

const pubkey = Pubkey.make("ab".repeat(32))
const id = RelayId.make("a")
const epochs = ["f0", "0f"].map((digits) => Epoch.make(`${digits.repeat(4)}-1111-4111-8111-${digits.repeat(6)}`))
const [current = Epoch.make(""), other = current] = epochs

describe("an error says what to do", () => {
  const storage = (options: object) =>
    new StorageError({ operation: "commit", cause: "no", reason: "other", ...options })
  const restored = { position: Position.make(7), current, common: Position.make(5) }

  const messages: ReadonlyArray<readonly [error: Error, message: string]> = [
    [new TenantAlreadyExists({ pubkey }), `Tenant ${pubkey} already exists; use updateTenant to change it`],
    [new TenantNotFound({ pubkey }), `Tenant ${pubkey} does not exist; create it with createTenant first`],
    [
      new RelayAlreadyExists({ id }),
      "Relay a already exists; choose another id, or use updateRelay to change it"
    ],
    [new RelayNotFound({ id }), "Relay a does not exist; create it with createRelay first"],
    [
      new SubdomainTaken({ subdomain: Subdomain.make("s") }),
      "Subdomain s belongs to another relay; choose another one"
    ],
    [
      new VersionConflict({ expected: 2, actual: 0 }),
      "The resource does not exist yet, not at version 2; read it again before changing it"
    ],
    [
      new VersionConflict({ expected: 2, actual: 3 }),
      "The resource is at version 3, not at version 2; read it again before changing it"
    ],
    [
      new IdempotencyConflict({ key: "a\"b" }),
      "Idempotency key \"a\\\"b\" belongs to a different command; use a new key for this one"
    ],
    [storage({}), "Storage failed at commit: no"],
    [storage({ cause: new Error("why") }), "Storage failed at commit: why"],
    [
      storage({ reason: "busy" }),
      "Storage failed at commit: no (another process holds the database; try again)"
    ],
    [storage({ reason: "busy", advice: "wait" }), "Storage failed at commit: no (wait)"],
    [
      new PositionAhead({ position: Position.make(9), head: Position.make(3) }),
      "There is no position 9 yet; the last one is 3"
    ],
    ...[null, current].map((epoch) =>
      [
        new PositionFromOtherEpoch({ ...restored, epoch }),
        `Position 7 is not in this journal, which ends at 5, in epoch ${current}; ` +
        "it may have been restored: resume from 5 or before"
      ] as const
    ),
    [
      new PositionFromOtherEpoch({ ...restored, epoch: other }),
      `Position 7 belongs to epoch ${other}, but the journal was restored: it is in epoch ${current}. ` +
      "Both are the same up to position 5: resume from there or before; for a consumer, use " +
      "Consumer.reset or caravel consumers reset"
    ]
  ]

  it.each(messages)("%s", (error, message) => {
    expect(error.message).toBe(message)
  })
})
