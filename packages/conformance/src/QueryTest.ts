/** The contract of `Query`. */
import { Command, Query } from "@caravel/domain"
import { describe, expect } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import { alice, bob, nobody, type Plain, plain, pubkey, type Services, specs } from "./internal/fixture.js"

/** Unordered ids. In code unit order, upper case comes before `_`, and `_` before lower case. */
const ids = ["b", "a", "Z", "_", "-", "10", "9", "aa"]
const sorted = ["-", "10", "9", "Z", "_", "a", "aa", "b"]

const world = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: bob })
  yield* command.createTenant({ pubkey: alice })
  yield* Effect.forEach(
    ids,
    (id, n) => command.createRelay({ id, tenant: n % 2 === 0 ? alice : bob, subdomain: `s${n}` })
  )
  yield* command.setTenantPastDue(alice)
  yield* command.deactivateRelay({ id: "a" })
  yield* command.updateTenant({ pubkey: bob })
})

/**
 * Proves an adapter's `Query`: keys, order, filters, and missing or malformed keys.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`Query: ${name}`, () => {
    const test = specs(layer)

    test(
      "an empty database is empty",
      Effect.gen(function*() {
        const query = yield* Query
        expect(yield* query.tenants).toEqual([])
        expect(yield* query.relays).toEqual([])
        expect(yield* query.activity()).toEqual([])
        expect(yield* query.relaysOf(alice)).toEqual([])
        expect(yield* query.tenant(alice)).toEqual(Option.none())
      })
    )

    test(
      "a row is found by its key, and a missing row is None",
      Effect.gen(function*() {
        yield* world
        const query = yield* Query
        expect(plain(yield* query.tenant(alice))).toMatchObject({ _tag: "Some", value: { pubkey: alice } })
        expect(yield* query.tenant(nobody)).toEqual(Option.none())
        for (const [n, id] of ids.entries()) {
          expect(plain(yield* query.relay(id))).toMatchObject({ value: { id, subdomain: `s${n}` } })
          expect(plain(yield* query.relayBySubdomain(`s${n}`))).toMatchObject({ value: { id } })
        }
        expect(yield* query.relay("A")).toEqual(Option.none())
        expect(yield* query.relayBySubdomain("a")).toEqual(Option.none())
      })
    )

    test(
      "lists are ordered by key, in code unit order",
      Effect.gen(function*() {
        yield* world
        const query = yield* Query
        expect((yield* query.tenants).map(({ pubkey }) => pubkey)).toEqual([bob, alice].sort())
        expect((yield* query.relays).map(({ id }) => id)).toEqual(sorted)
        const relaysOf = (owner: string) =>
          Effect.map(query.relaysOf(owner), (relays) => relays.map(({ id, tenant }) => [id, tenant]))
        const owned = (owner: string, odd: number) =>
          sorted.filter((id) => ids.indexOf(id) % 2 === odd).map((id) => [id, owner])
        expect(yield* relaysOf(alice)).toEqual(owned(alice, 0))
        expect(yield* relaysOf(bob)).toEqual(owned(bob, 1))
        expect(yield* relaysOf(nobody)).toEqual([])
      })
    )

    test(
      "the activity log is oldest first, and filters apply alone and in every combination",
      Effect.gen(function*() {
        yield* world
        const query = yield* Query
        const all: ReadonlyArray<Plain> = plain(yield* query.activity())
        expect(all.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13])
        expect(plain(yield* query.activity({}))).toEqual(all)
        for (const after of [undefined, 0, 3, 11, 13, 99]) {
          for (const upTo of [undefined, 0, 5, 11, 12, 99]) {
            for (const limit of [undefined, 0, 1, 3, 99]) {
              for (const tenant of [undefined, alice, bob, nobody]) {
                for (const resourceId of [undefined, alice, "a", "missing"]) {
                  const filter = {
                    ...(after !== undefined && { after }),
                    ...(upTo !== undefined && { upTo }),
                    ...(limit !== undefined && { limit }),
                    ...(tenant !== undefined && { tenant }),
                    ...(resourceId !== undefined && { resourceId })
                  }
                  const expected = all.filter((activity) =>
                    activity.position > (after ?? 0) &&
                    activity.position <= (upTo ?? Infinity) &&
                    (tenant === undefined || activity.tenant === tenant) &&
                    (resourceId === undefined || activity.resourceId === resourceId)
                  ).slice(0, limit)
                  expect(plain(yield* query.activity(filter))).toEqual(expected)
                }
              }
            }
          }
        }
      })
    )

    test(
      "paging through the log by its last position returns all of it",
      Effect.gen(function*() {
        yield* world
        const query = yield* Query
        const all = plain(yield* query.activity())
        for (const limit of [1, 2, 5, 12]) {
          const seen: Array<Plain> = []
          for (;;) {
            const page = plain(yield* query.activity({ after: seen[seen.length - 1]?.position ?? 0, limit }))
            if (page.length === 0) break
            for (const activity of page) seen.push(activity)
          }
          expect(seen).toEqual(all)
        }
      })
    )

    test(
      "malformed keys and filters are ParseErrors",
      Effect.gen(function*() {
        const query = yield* Query
        const invalid = 5 as unknown as string
        const attempts = [
          query.tenant("short"),
          query.tenant("A".repeat(64)),
          query.tenant(invalid),
          query.relay(""),
          query.relay("a b"),
          query.relay(invalid),
          query.relayBySubdomain("Upper"),
          query.relayBySubdomain("-"),
          query.relaysOf("short"),
          query.activity({ after: -1 }),
          query.activity({ after: 0.5 }),
          query.activity({ upTo: -1 }),
          query.activity({ limit: -1 }),
          query.activity({ limit: 1.5 }),
          query.activity({ tenant: "short" }),
          query.activity({ resourceId: "a b" })
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(Effect.asVoid<unknown, Effect.Effect.Error<typeof attempt>, never>(attempt))
          expect(error._tag).toBe("ParseError")
        }
      })
    )

    test(
      "rows that were read do not change",
      Effect.gen(function*() {
        yield* world
        const command = yield* Command
        const query = yield* Query
        const before = Option.getOrThrow(yield* query.relay("a"))
        yield* command.activateRelay(before)
        expect([before.status, before.version]).toEqual(["inactive", 2])
        expect(plain(yield* query.relay("a"))).toMatchObject({ value: { status: "active", version: 3 } })
      })
    )

    test(
      "lists return all of a thousand rows",
      Effect.gen(function*() {
        const command = yield* Command
        const query = yield* Query
        const keys = Array.from({ length: 1000 }, (_, n) => pubkey(n + 1))
        yield* Effect.forEach(keys, (pubkey) => command.createTenant({ pubkey }), { concurrency: "unbounded" })
        expect((yield* query.tenants).map(({ pubkey }) => pubkey)).toEqual(keys)
      })
    )
  })
}
