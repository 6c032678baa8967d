/** Random programs whose rows are damaged at random, repeatedly: a rebuild repairs every drift that is repairable. */
import { isRepairable, Query, type ResourceType, type SecretId } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import * as LongRun from "../LongRun.js"
import { another, type Backdoor, folded, idOf, nullable, rebuild, type RowId, verify } from "./backdoor.js"
import { plain, pubkey, type Services } from "./fixture.js"
import { call } from "./linearize.js"
import { programs } from "./programs.js"

/** Picks an element by a number, if there are any. */
type Pick = number

type Damage =
  | { readonly _tag: "field"; readonly row: Pick; readonly field: Pick; readonly clear: boolean }
  | { readonly _tag: "reference"; readonly row: Pick; readonly to: Pick }
  | { readonly _tag: "exchange"; readonly relays: ReadonlyArray<Pick> }
  | { readonly _tag: "rekey"; readonly row: Pick; readonly to: Pick }
  | { readonly _tag: "remove"; readonly row: Pick }
  | { readonly _tag: "removeAll"; readonly resourceType: ResourceType }
  | { readonly _tag: "copy"; readonly row: Pick; readonly to: Pick }
  | { readonly _tag: "removeSecret"; readonly secret: Pick }
  | { readonly _tag: "addSecret"; readonly id: string }

type Fields<Tag extends Damage["_tag"]> = Omit<Extract<Damage, { readonly _tag: Tag }>, "_tag">

const of = <Tag extends Damage["_tag"]>(
  _tag: Tag,
  fields: { readonly [Field in keyof Fields<Tag>]: fc.Arbitrary<Fields<Tag>[Field]> }
): fc.Arbitrary<{ readonly _tag: Tag } & Fields<Tag>> =>
  fc.record<Fields<Tag>>(fields).map((fields) => ({ _tag, ...fields }))

const pick = fc.nat(1000)

const damages: fc.Arbitrary<ReadonlyArray<Damage>> = fc.array(
  fc.oneof(
    { arbitrary: of("field", { row: pick, field: pick, clear: fc.boolean() }), weight: 4 },
    { arbitrary: of("reference", { row: pick, to: pick }), weight: 2 },
    { arbitrary: of("exchange", { relays: fc.uniqueArray(pick, { minLength: 2, maxLength: 4 }) }), weight: 3 },
    { arbitrary: of("rekey", { row: pick, to: pick }), weight: 3 },
    { arbitrary: of("remove", { row: pick }), weight: 3 },
    of("removeAll", { resourceType: fc.constantFrom("tenant", "relay") }),
    { arbitrary: of("copy", { row: pick, to: pick }), weight: 2 },
    of("removeSecret", { secret: pick }),
    of("addSecret", { id: fc.uuid({ version: 7 }) })
  ),
  { minLength: 1, maxLength: 8 }
)

const relayIds = ["a", "b", "C", "d_4", "", "0", "zz", "B", "not an id"]
const pubkeys = [1, 2, 3, 4, 0xfff].map(pubkey)

/** The stored keys and subdomains, which damage must keep unique. */
class Rows {
  readonly ids = { tenant: new Set<string>(), relay: new Set<string>() }
  readonly subdomains = new Map<string, string>()
  private count = 0

  constructor(rows: ReadonlyArray<RowId & { readonly subdomain?: string }>) {
    for (const { resourceId, resourceType, subdomain } of rows) {
      this.ids[resourceType].add(resourceId)
      if (subdomain !== undefined) this.subdomains.set(resourceId, subdomain)
    }
  }

  get all(): ReadonlyArray<RowId> {
    return (["tenant", "relay"] as const).flatMap((resourceType) =>
      [...this.ids[resourceType]].map((resourceId) => ({ resourceType, resourceId }))
    )
  }

  /** A subdomain that no relay has had. */
  fresh(): string {
    return `fresh-${this.count++}`
  }

  freeId(resourceType: ResourceType, at: Pick): string | undefined {
    const free = (resourceType === "tenant" ? pubkeys : relayIds).filter((id) => !this.ids[resourceType].has(id))
    return picked(free, at)
  }
}

const picked = <A>(all: ReadonlyArray<A>, at: Pick): A | undefined => all[at % all.length]

export const damaging = <R, E>(
  layer: Layer.Layer<Services | R, E>,
  backdoor: Backdoor<R>,
  { rounds, timeout }: { readonly rounds: number; readonly timeout: number }
) => {
  const setSubdomain = (rows: Rows, resourceId: string, subdomain: string) => {
    rows.subdomains.set(resourceId, subdomain)
    return backdoor.change({ resourceType: "relay", resourceId }, { subdomain })
  }

  const remove = (rows: Rows, row: RowId) => {
    rows.ids[row.resourceType].delete(row.resourceId)
    return backdoor.remove(row)
  }

  /** Overwrites a field of a row whose resource is in the journal, with a wrong value. */
  const changeField = (rows: Rows, id: RowId, field: Pick, clear: boolean) =>
    Effect.gen(function*() {
      const row = (yield* folded).rows.find((row) =>
        idOf(row).resourceId === id.resourceId && idOf(row).resourceType === id.resourceType
      )
      if (row === undefined) return
      const [name, value] = picked(Object.entries(row).filter(([name]) => name !== "pubkey" && name !== "id"), field)!
      if (name === "subdomain") return yield* setSubdomain(rows, id.resourceId, rows.fresh())
      yield* backdoor.change(id, { [name]: clear && nullable.has(name) ? null : another(name, value) })
    })

  const inflict = (rows: Rows, secrets: ReadonlyArray<SecretId>, damage: Damage) =>
    Effect.gen(function*() {
      if (damage._tag === "addSecret") {
        return yield* backdoor.addSecret(damage.id as SecretId, "nostr+walletconnect://x")
      }
      if (damage._tag === "removeSecret") {
        const secret = picked(secrets, damage.secret)
        return secret === undefined ? undefined : yield* backdoor.removeSecret(secret)
      }
      if (damage._tag === "removeAll") {
        for (const id of rows.ids[damage.resourceType]) {
          yield* remove(rows, { resourceType: damage.resourceType, resourceId: id })
        }
        return
      }
      if (damage._tag === "exchange") {
        const relays = [...rows.ids.relay]
        const ids = [...new Set(damage.relays.flatMap((at) => picked(relays, at) ?? []))]
        const subdomains = ids.map((id) => rows.subdomains.get(id)!)
        for (const id of ids) yield* setSubdomain(rows, id, rows.fresh())
        for (const [index, id] of ids.entries()) yield* setSubdomain(rows, id, subdomains[(index + 1) % ids.length]!)
        return
      }
      const row = picked(rows.all, damage.row)
      if (row === undefined) return
      const { resourceId, resourceType } = row
      switch (damage._tag) {
        case "remove":
          return yield* remove(rows, row)
        case "field":
          return yield* changeField(rows, row, damage.field, damage.clear)
        case "reference":
          return resourceType === "tenant"
            ? yield* backdoor.change(row, { nwcUrl: picked([null, ...secrets], damage.to) ?? null })
            : yield* backdoor.change(row, { tenant: picked(pubkeys, damage.to) })
        case "rekey": {
          const to = rows.freeId(resourceType, damage.to)
          if (to === undefined) return
          yield* backdoor.change(row, { [resourceType === "tenant" ? "pubkey" : "id"]: to })
          rows.ids[resourceType].delete(resourceId)
          rows.ids[resourceType].add(to)
          return void rows.subdomains.set(to, rows.subdomains.get(resourceId) ?? "")
        }
        case "copy": {
          const to = rows.freeId(resourceType, damage.to)
          if (to === undefined) return
          yield* backdoor.copy(row, to)
          rows.ids[resourceType].add(to)
          if (resourceType === "relay") yield* setSubdomain(rows, to, rows.fresh())
        }
      }
    })

  /** The rows that the services return. The wallet URL is replaced by whether there is one. */
  const read = Effect.gen(function*() {
    const { relays, tenants } = yield* Query
    return {
      relays: plain(yield* relays),
      tenants: (yield* tenants).map(({ nwcUrl, ...tenant }) => ({ ...plain(tenant), hasWallet: nwcUrl !== null }))
    }
  })

  const round = (all: ReadonlyArray<Damage>) =>
    Effect.gen(function*() {
      const { rows } = yield* folded
      const secrets = rows.flatMap((row) => "pubkey" in row && row.nwcUrl !== null ? [row.nwcUrl] : [])
      const stored = new Rows(
        rows.map((row) => ({ ...idOf(row), ...("subdomain" in row && { subdomain: row.subdomain }) }))
      )
      const before = yield* backdoor.dump
      const lostBefore = (yield* verify).differences
      for (const damage of all) yield* inflict(stored, secrets, damage)

      const { differences } = yield* verify
      const repairable = differences.filter(isRepairable)
      const lost = differences.filter(({ kind }) => kind === "lost")
      expect(repairable.length + lost.length).toBe(differences.length)
      const { written } = yield* rebuild
      expect(written > 0).toBe(repairable.length > 0)
      expect((yield* verify).differences).toEqual(lost)
      expect((yield* rebuild).written).toBe(0)

      const isLost = new Set(lost.map(({ resourceId }) => resourceId))
      const after = yield* read
      const relays = rows.filter((row) => "id" in row)
      const tenants = rows.filter((row) => "pubkey" in row)
      expect(new Map(after.relays.map((relay) => [relay.id, relay]))).toEqual(
        new Map(relays.map((relay) => [relay.id, plain(relay)]))
      )
      expect(new Map(after.tenants.map((tenant) => [tenant.pubkey, tenant]))).toEqual(
        new Map(tenants.map(({ nwcUrl, ...tenant }) => [
          tenant.pubkey,
          { ...plain(tenant), hasWallet: nwcUrl !== null && !isLost.has(tenant.pubkey) }
        ]))
      )
      if (lost.length === 0 && lostBefore.length === 0) expect(yield* backdoor.dump).toEqual(before)
    })

  const roundsEach = 4

  it("a rebuild repairs all damage to rows and secrets except lost secrets", () =>
    fc.assert(
      fc.asyncProperty(
        programs,
        fc.array(damages, { minLength: roundsEach, maxLength: roundsEach }),
        (program, rounds) =>
          Effect.runPromise(
            Effect.gen(function*() {
              for (const step of program) yield* Effect.forEach(step, call, { concurrency: "unbounded" })
              for (const all of rounds) yield* round(all)
            }).pipe(Effect.provide(layer))
          )
      ),
      { numRuns: Math.ceil(rounds / roundsEach), seed: LongRun.seed, endOnFailure: true }
    ), timeout)
}
