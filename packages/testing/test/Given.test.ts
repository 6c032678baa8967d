import { event, given, pubkey } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Either } from "effect"
import { AssertionError } from "node:assert"

const bob = pubkey("bob")
const url = "nostr+walletconnect://wallet?secret=1"
const alices = given(event("TenantCreated"), event("RelayCreated"))

/** The message of the error that a comparison throws. */
const differenceOf = (compare: () => void): string => {
  try {
    compare()
  } catch (error) {
    expect(error).toBeInstanceOf(AssertionError)
    return (error as AssertionError).message
  }
  throw new Error("nothing differs")
}

describe("given, when, then", () => {
  it("fills in what an expectation omits", () => {
    alices.when({ _tag: "DeactivateRelay", id: "main" }).then(event("RelayDeactivated"))
    alices.when({ _tag: "SetTenantPastDue", pubkey: pubkey("alice") }).then(event("TenantPastDueSet"))
    alices.when({ _tag: "CreateTenant", pubkey: bob }).then(event("TenantCreated", { resourceId: bob }))
    given(event("TenantCreated", { resourceId: bob }))
      .when({ _tag: "CreateRelay", id: "chat", tenant: bob, subdomain: "chat", plan: "basic" })
      .then(event("RelayCreated", { resourceId: "chat", tenant: bob, changes: { plan: "basic" } }))
  })

  it("continues from given changes", () => {
    given(event("TenantCreated"), event("RelayCreated", { changes: { plan: "growth" } }), event("RelayDeactivated"))
      .when({ _tag: "UpdateRelay", id: "main", plan: null }, { expected: 2 })
      .then(event("RelayUpdated", { version: 3, changes: { plan: "free" } }))
  })

  it("compares the id, the instant and the metadata only if they are named", () => {
    const now = "2026-01-01T00:00:00.000Z"
    const activated = alices.when({ _tag: "ActivateRelay", id: "main" }, { now, metadata: { actor: "console" } })
    activated.then(event("RelayActivated"))
    activated.then(event("RelayActivated", {
      id: "00000000-0000-7000-8000-000000000003",
      createdAt: now,
      metadata: { actor: "console" }
    }))
    expect(differenceOf(() => activated.then(event("RelayActivated", { metadata: { actor: "worker" } }))))
      .toContain("worker")
    expect(differenceOf(() => activated.then(event("RelayActivated", { createdAt: "2026-01-02T00:00:00.000Z" }))))
      .toContain("2026-01-02")
  })

  it("compares a secret as set or not set", () => {
    const set = alices.when({ _tag: "UpdateTenant", pubkey: pubkey("alice"), nwcUrl: url })
    set.then(event("TenantUpdated", { changes: { nwcUrl: `${url}2` } }))
    expect(differenceOf(() => set.then(event("TenantUpdated", { changes: { nwcUrl: null } })))).toContain("nwcUrl")
    expect(differenceOf(() => set.then(event("TenantUpdated")))).toContain("nwcUrl")
    const clear = alices.when({ _tag: "UpdateTenant", pubkey: pubkey("alice"), nwcUrl: null })
    clear.then(event("TenantUpdated", { changes: { nwcUrl: null } }))
    expect(differenceOf(() => clear.then(event("TenantUpdated", { changes: { nwcUrl: url } })))).not.toContain(url)
  })

  it("shows every other difference", () => {
    const deactivated = alices.when({ _tag: "DeactivateRelay", id: "main" })
    const differs = (fields: Parameters<typeof event<"RelayDeactivated">>[1]) =>
      differenceOf(() => deactivated.then(event("RelayDeactivated", fields)))
    expect(differs({ resourceId: "chat" })).toContain("+   resourceId: 'main'")
    expect(differs({ tenant: bob })).toContain(bob)
    expect(differs({ version: 3 })).toContain("-   version: 3")
    expect(differenceOf(() => deactivated.then({ _tag: "RelayNotFound", id: "main" }))).toContain("RelayNotFound")
  })

  it("compares errors by tag and fields", () => {
    const created = alices.when({ _tag: "CreateRelay", id: "chat", tenant: pubkey("alice"), subdomain: "main" })
    created.then({ _tag: "SubdomainTaken", subdomain: "main" })
    expect(differenceOf(() => created.then({ _tag: "SubdomainTaken", subdomain: "chat" }))).toContain("'chat'")
    expect(differenceOf(() => created.then({ _tag: "TenantNotFound", pubkey: bob }))).toContain("SubdomainTaken")
    expect(differenceOf(() => created.then(event("RelayCreated", { resourceId: "chat" })))).toContain("SubdomainTaken")
    alices.when({ _tag: "ActivateRelay", id: "main" }, { expected: 4 })
      .then({ _tag: "VersionConflict", expected: 4, actual: 1 })
    const malformed = alices.when({ _tag: "ActivateRelay", id: "no id" })
    malformed.then({ _tag: "ParseError" })
    expect(differenceOf(() => malformed.then({ _tag: "ParseError", message: "other" }))).toContain("a relay id of 1")
    expect(differenceOf(() => malformed.then(event("RelayActivated")))).toContain("a relay id of 1")
  })

  it("has the result as a value", () => {
    const accepted = alices.when({ _tag: "ActivateRelay", id: "main" }).result
    expect(Either.map(accepted, ({ changes }) => changes)).toEqual(Either.right({ status: "active" }))
    const refused = alices.when({ _tag: "ActivateRelay", id: "chat" }).result
    expect(Either.mapLeft(refused, ({ _tag }) => _tag)).toEqual(Either.left("RelayNotFound"))
  })

  it("says so if it is awaited", async () => {
    const forgotten: unknown = alices.when({ _tag: "ActivateRelay", id: "main" })
    await expect((async () => forgotten)()).rejects.toThrow("do not await it")
  })

  it("names the expected event by the command, at compile time", () => {
    const activated = alices.when({ _tag: "ActivateRelay", id: "main" })
    // @ts-expect-error another command's event
    expect(() => activated.then(event("RelayDeactivated"))).toThrow(AssertionError)
    // @ts-expect-error an error that this command cannot fail with
    expect(() => activated.then({ _tag: "SubdomainTaken", subdomain: "main" })).toThrow(AssertionError)
    // @ts-expect-error a change that has no default
    expect(() => activated.then(event("RelaySyncFailed"))).toThrow("syncError")
  })
})
