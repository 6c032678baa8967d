/** Missing, extra and wrong rows and secrets: each is reported, and repaired if possible. */
import { ActivityPubSub, type Drift, Position, type SecretId, type StorageError } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type Backdoor, folded, idOf, positionOf, rebuild, verify } from "./backdoor.js"
import { cases } from "./cases.js"
import { alice, bob, bobUrl, furnished, invoke, plain, type Services, specs } from "./fixture.js"
import { leaks } from "./secrets.js"

const uuid = "01a20817-9f5e-75be-8c41-e650131896aa" as SecretId

export const damaged = <R, E>(layer: Layer.Layer<Services | R, E>, backdoor: Backdoor<R>) => {
  const test = specs<E, R>(layer)
  const everything = Effect.gen(function*() {
    yield* furnished
    yield* Effect.forEach(cases, ({ args, key, method }) => invoke(method, args(key)))
  })
  const secretOf = (id: string) =>
    Effect.map(folded, ({ rows }) => {
      const row = rows.find((row) => idOf(row).resourceId === id)
      return (row && "nwcUrl" in row ? row.nwcUrl : null)!
    })

  /** Damages the data of `furnished` and `cases`. Expects exactly these drifts, and that a rebuild repairs them. */
  const damages = (
    what: string,
    damage: Effect.Effect<ReadonlyArray<Partial<Drift>>, StorageError, Services | R>
  ) =>
    test(
      what,
      Effect.gen(function*() {
        yield* everything
        const before = yield* backdoor.dump
        const expected = yield* damage
        expect((yield* verify).differences).toMatchObject(expected)
        expect(yield* rebuild).toMatchObject({ written: expected.length, differences: expected })
        expect((yield* verify).differences).toEqual([])
        expect(yield* backdoor.dump).toEqual(before)
      })
    )

  test(
    "an empty journal agrees with no rows",
    Effect.gen(function*() {
      const none = { events: 0, head: 0, tenants: 0, relays: 0, secrets: 0, differences: [], clocks: [] }
      expect(yield* verify).toEqual({ last: none, differences: [] })
      expect(yield* rebuild).toEqual({ written: 0, differences: [] })
    })
  )

  test(
    "rows that Caravel wrote agree, and a rebuild writes and broadcasts nothing",
    Effect.gen(function*() {
      yield* everything
      const { events, rows } = yield* folded
      const before = yield* backdoor.dump
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      const { differences, last } = yield* verify
      expect(differences).toEqual([])
      const tenants = rows.filter((row) => "pubkey" in row)
      expect(last).toMatchObject({
        events: events.length,
        head: events.length,
        tenants: tenants.length,
        relays: rows.length - tenants.length,
        secrets: tenants.filter((tenant) => tenant.nwcUrl !== null).length
      })
      expect(yield* rebuild).toEqual({ written: 0, differences: [] })
      expect(yield* backdoor.dump).toEqual(before)
      const activity = yield* invoke("deactivateRelay", [{ id: "relay-1" }])
      expect(activity?.position).toBe(events.length + 1)
      expect(plain([...yield* queue.takeAll])).toEqual(plain([activity]))
    })
  )

  damages(
    "a row that is missing",
    Effect.gen(function*() {
      const row = { resourceType: "relay", resourceId: "relay-1" } as const
      const { events, rows } = yield* folded
      yield* backdoor.remove(row)
      const expected = plain(rows.find((row) => "id" in row && row.id === "relay-1"))
      return [{ ...row, kind: "missing", field: null, expected, found: null, position: positionOf(events, row)! }]
    })
  )

  damages(
    "all rows that are missing",
    Effect.gen(function*() {
      const { rows } = yield* folded
      // Relays refer to tenants.
      for (const row of [...rows].reverse()) yield* backdoor.remove(idOf(row))
      return rows.map((row) => ({ ...idOf(row), kind: "missing" as const })).sort((one, other) =>
        one.resourceId < other.resourceId ? -1 : 1
      )
    })
  )

  damages(
    "a tenant and a relay that no event created",
    Effect.gen(function*() {
      yield* backdoor.copy({ resourceType: "tenant", resourceId: alice }, "0".repeat(64))
      yield* backdoor.copy({ resourceType: "relay", resourceId: "relay-1" }, "")
      const unexpected = { kind: "unexpected", field: null, expected: null, position: Position.make(0) } as const
      return [
        { ...unexpected, resourceType: "relay", resourceId: "", found: expect.objectContaining({ tenant: alice }) },
        { ...unexpected, resourceType: "tenant", resourceId: "0".repeat(64), found: expect.anything() }
      ] as ReadonlyArray<Partial<Drift>>
    })
  )

  damages(
    "a secret that no tenant refers to, without its value",
    Effect.gen(function*() {
      yield* backdoor.addSecret(uuid, bobUrl)
      const secret = {
        resourceType: "secret",
        resourceId: uuid,
        field: null,
        expected: null,
        found: "<redacted>"
      } as const
      return [{ ...secret, kind: "unexpected", position: Position.make(0) }]
    })
  )

  test(
    "a secret that replaces its reference is not revealed",
    Effect.gen(function*() {
      yield* everything
      yield* backdoor.change({ resourceType: "tenant", resourceId: alice }, { nwcUrl: bobUrl })
      const { differences } = yield* verify
      expect(differences).toMatchObject([{ field: "nwcUrl", found: "<redacted>" }])
      expect(JSON.stringify(differences)).not.toContain("BOB-SECRET")
      const answer = yield* Effect.either(invoke("setTenantPastDue", [alice]))
      expect(leaks(answer, "BOB-SECRET")).toBe(false)
    })
  )

  test(
    "a lost secret, which is reported until its owner sets a new one",
    Effect.gen(function*() {
      yield* invoke("createTenant", [{ pubkey: bob, nwcUrl: bobUrl }])
      yield* invoke("setTenantPastDue", [bob])
      const expected = yield* secretOf(bob)
      yield* backdoor.removeSecret(expected)
      const lost = {
        kind: "lost",
        resourceType: "tenant",
        resourceId: bob,
        field: "nwcUrl",
        expected,
        found: null,
        position: 1
      }
      expect((yield* verify).differences).toEqual([lost])
      expect(yield* rebuild).toEqual({ written: 0, differences: [lost] })
      yield* backdoor.remove({ resourceType: "tenant", resourceId: bob })
      expect((yield* rebuild).written).toBe(1)
      yield* invoke("updateTenant", [{ pubkey: bob, nwcUrl: bobUrl }])
      expect((yield* verify).differences).toEqual([])
    })
  )

  test(
    "a missing relay and its missing tenant, in either order of their keys",
    Effect.gen(function*() {
      const tenant = "f".repeat(64)
      yield* invoke("createTenant", [{ pubkey: tenant }])
      yield* invoke("createRelay", [{ id: "a", tenant, subdomain: "a" }])
      const before = yield* backdoor.dump
      yield* backdoor.remove({ resourceType: "relay", resourceId: "a" })
      yield* backdoor.remove({ resourceType: "tenant", resourceId: tenant })
      expect((yield* rebuild).written).toBe(2)
      expect(yield* backdoor.dump).toEqual(before)
    })
  )

  test(
    "relays whose subdomains were exchanged",
    Effect.gen(function*() {
      yield* invoke("createTenant", [{ pubkey: alice }])
      for (const id of ["a", "b", "c"]) yield* invoke("createRelay", [{ id, tenant: alice, subdomain: id }])
      const before = yield* backdoor.dump
      const change = (id: string, subdomain: string) =>
        backdoor.change({ resourceType: "relay", resourceId: id }, { subdomain })
      yield* change("c", "d")
      yield* change("b", "c")
      yield* change("a", "b")
      yield* change("c", "a")
      expect((yield* verify).differences.map(({ expected, found }) => [expected, found])).toEqual([
        ["a", "b"],
        ["b", "c"],
        ["c", "a"]
      ])
      expect((yield* rebuild).written).toBe(3)
      expect(yield* backdoor.dump).toEqual(before)
    })
  )
}
