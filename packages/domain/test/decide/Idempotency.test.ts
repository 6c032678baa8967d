import { type CommandRequest, Pubkey, UpdateTenant } from "@caravel/domain"
import { canonical, type IdempotencyKey, identityOf, recall, scopesOf } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Either, Redacted } from "effect"
import { alice, bob, command, context, createAlice, createOne, empty, given, url } from "../given.js"

const unit = (commands: ReadonlyArray<CommandRequest>, expected?: number) => {
  const [first, ...rest] = commands.map((command, n) => [command, { ...context(n), expected }] as const)
  return { commands: [first!, ...rest] as const, idempotencyKey: undefined }
}

const identity = (...parameters: Parameters<typeof unit>) => Redacted.value(identityOf(unit(...parameters)))

describe("identityOf", () => {
  it("is the same for the same values, whatever their order and form", () => {
    const one = command("CreateRelay", { id: "one", tenant: alice, subdomain: "uno" })
    const two = command("CreateRelay", { subdomain: "uno", plan: "free", infoName: null, tenant: alice, id: "one" })
    expect(identity([one])).toBe(identity([two]))
    const [patch, undefinedToo] = [{}, { stripeCustomerId: undefined }].map((fields) =>
      new UpdateTenant({ pubkey: Pubkey.make(alice), ...fields })
    )
    expect(identity([patch!])).toBe(identity([undefinedToo!]))
  })

  it("differs if the command, a value, a secret, the expected version, the number or the order differs", () => {
    const update = (fields: object) => [command("UpdateTenant", { pubkey: alice, ...fields })]
    const [one, two] = [createAlice, createOne]
    const identities = [
      ...[{}, { nwcUrl: null }, { nwcUrl: url }, { nwcUrl: `${url}2` }, { stripeCustomerId: null }].map(update),
      update({ pubkey: bob }),
      [command("SetTenantPastDue", { pubkey: alice })],
      [one],
      [two],
      [one, two],
      [two, one],
      [one, one]
    ].map((commands) => identity(commands))
    const all = [...identities, identity([one], 0), identity([one], 1)]
    expect(new Set(all).size).toBe(all.length)
  })

  it("stays the same as stored identities when commands get new fields", () => {
    const flags = ["blossomEnabled", "groupsEnabled", "livekitEnabled", "managementEnabled"].map((
      flag
    ) => [flag, false])
    expect(JSON.parse(identity([createOne]))).toEqual([[
      null,
      ["_tag", "CreateRelay"],
      ...flags.slice(0, 2),
      ["id", "one"],
      ["infoDescription", ""],
      ["infoIcon", ""],
      ["infoName", ""],
      ...flags.slice(2),
      ["plan", "free"],
      ["policyPublicJoin", false],
      ["policyStripSignatures", false],
      ["pushEnabled", false],
      ["subdomain", "uno"],
      ["tenant", alice]
    ]])
    expect(JSON.parse(identity([createAlice], 0))).toEqual([
      [0, ["_tag", "CreateTenant"], ["nwcUrl", null], ["pubkey", alice], ["stripeCustomerId", null]]
    ])
    const later = new Map([["region", "eu"]])
    expect(canonical({ id: "one", region: "eu" }, later)).toEqual([["id", "one"]])
    expect(canonical({ id: "one", region: "us" }, later)).toEqual([["id", "one"], ["region", "us"]])
  })

  it("does not show the secrets that it contains", () => {
    const held = identityOf(unit([command("UpdateTenant", { pubkey: alice, nwcUrl: url })]))
    expect(`${held} ${JSON.stringify(held)}`).not.toContain(url)
    expect(Redacted.value(held)).toContain(url)
  })
})

describe("scopesOf", () => {
  const activate = command("ActivateRelay", { id: "one" })

  it("returns the tenant, or a relay's owner and the relay; only the relay if its owner is unknown", () => {
    expect(scopesOf(empty, unit([command("SetTenantPastDue", { pubkey: bob })]))).toEqual([bob])
    expect(scopesOf(empty, unit([createOne, activate]))).toEqual([alice])
    expect(scopesOf(empty, unit([activate, createOne]))).toEqual(["relay one"])
    expect(scopesOf(given(createAlice, createOne), unit([activate]))).toEqual([alice, "relay one"])
  })
})

describe("recall", () => {
  const key = "key" as IdempotencyKey
  const kept = [{ identity: "a", outcome: Either.right(1) }, { identity: "b", outcome: Either.left("no") }]

  it("returns the outcome of the same command, and refuses a different one", () => {
    expect(recall([], "a", key)).toBe(undefined)
    expect(recall(kept, "a", key)).toEqual(Either.right(1))
    expect(recall(kept, "b", key)).toEqual(Either.left("no"))
    expect(recall(kept, "c", key)).toMatchObject({ left: { _tag: "IdempotencyConflict", key } })
  })
})
