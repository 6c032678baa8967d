import { events as schemas, type EventTag } from "@caravel/domain"
import { event, type EventSpecification, journalOf, pubkey } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Redacted } from "effect"

const url = "nostr+walletconnect://wallet?secret=1"
const created = [event("TenantCreated"), event("RelayCreated")]

/** One event of each tag, with the changes that have no default. */
const open: { readonly [tag: string]: EventSpecification } = {
  RelaySyncFailed: event("RelaySyncFailed", { changes: { syncError: "no room" } }),
  RelaySubscriptionItemSet: event("RelaySubscriptionItemSet", { changes: { stripeSubscriptionItemId: "si_1" } }),
  TenantSubscriptionSet: event("TenantSubscriptionSet", { changes: { stripeSubscriptionId: "sub_1" } }),
  TenantNwcErrorSet: event("TenantNwcErrorSet", { changes: { nwcError: "no route" } })
}

describe("journalOf", () => {
  it("fills in ids, versions, instants and owners", () => {
    const { events } = journalOf(
      ...created,
      event("RelayDeactivated"),
      event("TenantCreated", { resourceId: pubkey("bob"), createdAt: "2026-01-01T00:00:00.000Z" }),
      event("RelayCreated", { resourceId: "Chat_1", tenant: pubkey("bob") }),
      event("RelayActivated", { resourceId: "Chat_1" })
    )
    expect(events.map(({ resourceId, tenant, version }) => [resourceId, tenant, version])).toEqual([
      [pubkey("alice"), pubkey("alice"), 1],
      ["main", pubkey("alice"), 1],
      ["main", pubkey("alice"), 2],
      [pubkey("bob"), pubkey("bob"), 1],
      ["Chat_1", pubkey("bob"), 1],
      ["Chat_1", pubkey("bob"), 2]
    ])
    expect(events.map(({ createdAt }) => DateTime.formatIso(createdAt))).toEqual([
      ..."012".split("").map((second) => `1970-01-01T00:00:0${second}.000Z`),
      ..."012".split("").map((second) => `2026-01-01T00:00:0${second}.000Z`)
    ])
    expect(events.map(({ id }) => id.at(-1))).toEqual(["1", "2", "3", "4", "5", "6"])
    expect(events[4]).toMatchObject({ changes: { subdomain: "chat-1", plan: "free", status: "active" } })
  })

  it("has a default for every event that may omit its changes", () => {
    for (const tag of Object.keys(schemas) as Array<EventTag>) {
      const specification = open[tag] ?? { _tag: tag as "RelayActivated" }
      const isFirst = tag.endsWith("Created") || tag.endsWith("Imported")
      const before = !isFirst ? created : tag.startsWith("Tenant") ? [] : [event("TenantCreated")]
      expect(journalOf(...before, specification).events.at(-1)).toMatchObject({ _tag: tag })
    }
  })

  it("keeps the secret of an event beside it", () => {
    const { events, secrets } = journalOf(event("TenantCreated", { changes: { nwcUrl: url } }))
    expect(events[0]).toMatchObject({ changes: { nwcUrl: events[0]!.id } })
    expect(secrets.map(({ id, value }) => [id, Redacted.value(value)])).toEqual([[events[0]!.id, url]])
  })

  it("refuses events that cannot follow one another", () => {
    const refused: ReadonlyArray<readonly [ReadonlyArray<EventSpecification>, string]> = [
      [[event("RelayDeactivated")], "Given event 1, RelayDeactivated: the relay main does not exist yet"],
      [[event("RelayCreated")], "Given event 1, RelayCreated: its tenant"],
      [[...created, event("RelayCreated")], "Given event 3, RelayCreated: the relay main exists already"],
      [[...created, event("RelayActivated", { version: 3 })], "the next version of the relay main is 2, not 3"],
      [[...created, event("RelayCreated", { resourceId: "MAIN" })], "another relay has its subdomain"]
    ]
    for (const [specifications, message] of refused) expect(() => journalOf(...specifications)).toThrow(message)
    expect(() => journalOf(event("TenantCreated", { changes: { nwcUrl: "secret" } }))).toThrow("begins with nostr")
  })
})
