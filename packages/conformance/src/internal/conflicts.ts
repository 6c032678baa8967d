/** Unique keys and subdomains stay unique. */
import { Command, Query } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import {
  alice,
  bob,
  bobUrl,
  furnished,
  invoke,
  type MethodName,
  plain,
  type Services,
  specs,
  unchangedBy
} from "./fixture.js"

const refused: ReadonlyArray<readonly [string, MethodName, object, object]> = [
  [
    "a tenant that exists",
    "createTenant",
    { pubkey: alice, nwcUrl: bobUrl, stripeCustomerId: "other" },
    { _tag: "TenantAlreadyExists", pubkey: alice }
  ],
  [
    "a relay that exists, even with its own values",
    "createRelay",
    { id: "relay-1", tenant: alice, subdomain: "one" },
    { _tag: "RelayAlreadyExists", id: "relay-1" }
  ],
  [
    "a relay that exists, of another tenant and with a free subdomain",
    "createRelay",
    { id: "relay-1", tenant: bob, subdomain: "free" },
    { _tag: "RelayAlreadyExists", id: "relay-1" }
  ],
  [
    "a new relay with a taken subdomain",
    "createRelay",
    { id: "relay-9", tenant: bob, subdomain: "one" },
    { _tag: "SubdomainTaken", subdomain: "one" }
  ],
  [
    "a new relay with the subdomain of an inactive one",
    "createRelay",
    { id: "relay-9", tenant: bob, subdomain: "off" },
    { _tag: "SubdomainTaken", subdomain: "off" }
  ],
  [
    "an update to a taken subdomain",
    "updateRelay",
    { id: "relay-1", subdomain: "two", infoName: "never" },
    { _tag: "SubdomainTaken", subdomain: "two" }
  ],
  [
    "an update to the subdomain of an inactive relay",
    "updateRelay",
    { id: "relay-1", subdomain: "off" },
    { _tag: "SubdomainTaken", subdomain: "off" }
  ]
]

const crowded = Effect.gen(function*() {
  yield* furnished
  const command = yield* Command
  yield* command.createTenant({ pubkey: bob })
  yield* command.createRelay({ id: "relay-2", tenant: bob, subdomain: "two" })
  yield* command.createRelay({ id: "relay-off", tenant: bob, subdomain: "off" })
  yield* command.deactivateRelay({ id: "relay-off" })
})

export const conflicts = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const [what, method, argument, expected] of refused) {
    test(
      `${what} is refused and changes nothing`,
      Effect.gen(function*() {
        yield* crowded
        const { after, before, broadcast, result } = yield* unchangedBy(Effect.flip(invoke(method, [argument])))
        expect(plain(result)).toMatchObject(expected)
        expect(after).toEqual(before)
        expect(broadcast).toEqual([])
      })
    )
  }

  test(
    "a relay can be updated to its own subdomain",
    Effect.gen(function*() {
      yield* crowded
      const command = yield* Command
      const query = yield* Query
      yield* command.updateRelay({ id: "relay-1", subdomain: "one" })
      const relay = Option.getOrThrow(yield* query.relayBySubdomain("one"))
      expect([relay.id, relay.version]).toEqual(["relay-1", 5])
    })
  )

  test(
    "a subdomain that a relay gives up is free for others and no longer identifies it",
    Effect.gen(function*() {
      yield* crowded
      const command = yield* Command
      const query = yield* Query
      yield* command.updateRelay({ id: "relay-1", subdomain: "uno" })
      expect(Option.isNone(yield* query.relayBySubdomain("one"))).toBe(true)
      yield* command.createRelay({ id: "relay-9", tenant: bob, subdomain: "one" })
      expect(Option.getOrThrow(yield* query.relayBySubdomain("one")).id).toBe("relay-9")
      expect(Option.getOrThrow(yield* query.relayBySubdomain("uno")).id).toBe("relay-1")
      const back = yield* Effect.flip(command.updateRelay({ id: "relay-1", subdomain: "one" }))
      expect(back._tag).toBe("SubdomainTaken")
      yield* command.updateRelay({ id: "relay-9", subdomain: "nine" })
      yield* command.updateRelay({ id: "relay-1", subdomain: "one" })
    })
  )

  test(
    "one of many concurrent requests for a subdomain gets it",
    Effect.gen(function*() {
      yield* crowded
      const command = yield* Command
      const race = <A, Failure extends { readonly _tag: string }>(
        attempt: (n: number) => Effect.Effect<A, Failure>
      ) =>
        Effect.map(
          Effect.forEach(
            Array.from({ length: 20 }, (_, n) => n),
            (n) => Effect.match(attempt(n), { onFailure: ({ _tag }) => _tag, onSuccess: () => "accepted" }),
            { concurrency: "unbounded" }
          ),
          (outcomes) => outcomes.sort()
        )
      const refusals = (tag: string) => ["accepted", ...Array.from({ length: 19 }, () => tag)].sort()
      const same = "f".repeat(64)
      expect(yield* race(() => command.createTenant({ pubkey: same }))).toEqual(refusals("TenantAlreadyExists"))
      expect(yield* race((n) => command.createRelay({ id: "same", tenant: bob, subdomain: `s${n}` })))
        .toEqual(refusals("RelayAlreadyExists"))
      expect(yield* race((n) => command.createRelay({ id: `r${n}`, tenant: bob, subdomain: "same" })))
        .toEqual(refusals("SubdomainTaken"))
    })
  )
}
