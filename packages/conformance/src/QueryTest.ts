/** The contract of `Query`. */
import { type Activity, Command, Query, type Relay } from "@caravel/domain"
import { describe, expect } from "@effect/vitest"
import { Array as Arr, Chunk, Effect, FastCheck as fc, type Layer, Option, Runtime, Stream } from "effect"
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

/** Relays that differ in every field that filters use. */
const many = Effect.gen(function*() {
  yield* world
  const command = yield* Command
  yield* Effect.forEach(Array.from({ length: 24 }, (_, n) => n), (n) =>
    Effect.gen(function*() {
      const id = `n${n}`
      yield* command.createRelay({ id, tenant: n % 3 === 0 ? alice : bob, subdomain: id, plan: plans[n % 3]! })
      if (n % 4 === 1) yield* command.deactivateRelay({ id })
      if (n % 4 === 2) yield* command.markRelayDelinquent({ id })
      if (n % 5 < 2) yield* command.completeRelaySync(id)
    }))
})

const plans = ["free", "basic", "growth"]

type Filter = NonNullable<Parameters<typeof Query.Service["findRelays"]>[0]>

const some = <const A>(...values: ReadonlyArray<A>) =>
  fc.option(fc.oneof(fc.constantFrom(...values), fc.subarray([...values])), { nil: undefined })

const relayFilters: fc.Arbitrary<Filter> = fc.record({
  after: fc.option(fc.constantFrom("-", "A", "a", "n", "n15", "zz"), { nil: undefined }),
  limit: fc.option(fc.nat(40), { nil: undefined }),
  tenant: fc.option(fc.constantFrom(alice, bob, nobody), { nil: undefined }),
  status: some("active", "inactive", "delinquent"),
  plan: some(...plans, "other"),
  synced: fc.option(fc.boolean(), { nil: undefined })
}, { requiredKeys: [] })

const tenantFilters = fc.record({
  after: fc.option(fc.constantFrom(nobody, alice, bob), { nil: undefined }),
  limit: fc.option(fc.nat(3), { nil: undefined }),
  pastDue: fc.option(fc.boolean(), { nil: undefined })
}, { requiredKeys: [] })

const relayMatches = ({ after = "", plan, status, synced, tenant }: Filter, relay: Relay) =>
  relay.id > after &&
  (tenant === undefined || relay.tenant === tenant) &&
  (status === undefined || Arr.ensure(status).includes(relay.status)) &&
  (plan === undefined || Arr.ensure(plan).includes(relay.plan)) &&
  (synced === undefined || relay.synced === synced)

const collected = <A, E>(stream: Stream.Stream<A, E>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

/** All rows that match, read in pages of a size. */
const inPages = <Filter extends { readonly after?: string | undefined; readonly limit?: number | undefined }, Row, E>(
  find: (filter: Filter) => Effect.Effect<ReadonlyArray<Row>, E>,
  filter: Filter,
  size: number,
  keyOf: (row: Row) => string
) =>
  Effect.gen(function*() {
    const rows: Array<Row> = []
    for (let after = filter.after;;) {
      const limit = Math.min(size, (filter.limit ?? Infinity) - rows.length)
      const page = yield* find({ ...filter, after, limit })
      for (const row of page) rows.push(row)
      if (page.length < size) return rows
      after = keyOf(page[page.length - 1]!)
    }
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
        const all = plain(yield* query.activity())
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
          const seen: Array<Plain<Activity>> = []
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
      "filters of relays and tenants, their pages and their streams agree with a filter in memory",
      Effect.gen(function*() {
        yield* many
        const query = yield* Query
        const relays = yield* query.relays
        const tenants = yield* query.tenants
        const runtime = yield* Effect.runtime()
        const run = Runtime.runPromise(runtime)
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(relayFilters, fc.integer({ min: 1, max: 7 }), (filter, size) =>
              run(Effect.gen(function*() {
                const expected = relays.filter((relay) => relayMatches(filter, relay)).slice(0, filter.limit)
                expect(yield* query.findRelays(filter)).toEqual(expected)
                expect(yield* collected(query.streamRelays(filter))).toEqual(expected)
                expect(yield* inPages(query.findRelays, filter, size, ({ id }) => id)).toEqual(expected)
              }))),
            { numRuns: 60 }
          )
        )
        yield* Effect.promise(() =>
          fc.assert(
            fc.asyncProperty(tenantFilters, fc.integer({ min: 1, max: 3 }), (filter, size) =>
              run(Effect.gen(function*() {
                const expected = tenants.filter(({ pastDueAt, pubkey }) =>
                  pubkey > (filter.after ?? "") && (filter.pastDue ?? pastDueAt !== null) === (pastDueAt !== null)
                ).slice(0, filter.limit)
                expect(yield* query.findTenants(filter)).toEqual(expected)
                expect(yield* collected(query.streamTenants(filter))).toEqual(expected)
                expect(yield* inPages(query.findTenants, filter, size, ({ pubkey }) => pubkey)).toEqual(expected)
              }))),
            { numRuns: 20 }
          )
        )
      })
    )

    test(
      "a stream returns a row once, whatever is written while it is read, and as it is when its page is read",
      Effect.gen(function*() {
        const command = yield* Command
        const query = yield* Query
        const keys = Array.from({ length: 1200 }, (_, n) => pubkey(n + 1))
        yield* Effect.forEach(keys, (pubkey) => command.createTenant({ pubkey }), { concurrency: "unbounded" })
        const seen: Array<string> = []
        yield* query.streamTenants().pipe(
          Stream.rechunk(1),
          Stream.runForEach((tenant) =>
            Effect.gen(function*() {
              if (seen.length === 0) {
                yield* command.setTenantPastDue(keys[0]!)
                yield* command.setTenantPastDue(keys[1199]!)
                yield* command.createTenant({ pubkey: pubkey(0) })
              }
              seen.push(tenant.pubkey)
              if (tenant.pubkey === keys[1199]) expect(tenant.version).toBe(2)
            })
          )
        )
        expect(seen).toEqual(keys)
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
          query.activity({ resourceId: "a b" }),
          query.findRelays({ limit: -1 }),
          query.findRelays({ after: "a b" }),
          query.findRelays({ tenant: "short" }),
          query.findRelays({ plan: ["free", "No"] }),
          query.findRelays({ status: invalid as "active" }),
          query.findTenants({ after: "short" }),
          Stream.runCollect(query.streamRelays({ limit: -1 })),
          Stream.runCollect(query.streamTenants({ after: "short" }))
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
