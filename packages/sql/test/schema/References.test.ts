/** An application's rows that refer to tenants and relays: only the deletion of a referenced row is refused. */
import { LongRun } from "@caravel/conformance"
import { Command, type CommandRequest, decodeCommand, Journal, Query, type StorageError } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import { backdoor } from "../fixtures/backdoor.js"
import { verify } from "../fixtures/filled.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"
import { backdoor as postgresBackdoor } from "../fixtures/postgresBackdoor.js"
import { other, owner, referenced, references, run } from "../fixtures/references.js"

const ids = Array.from("abcdefgh")

/**
 * Some relays, each of which takes over the next one's subdomain. The last one takes over the first one's, or nothing.
 */
const cycles = fc.record({
  relays: fc.shuffledSubarray(ids, { minLength: 2 }),
  isClosed: fc.boolean(),
  /** Whether a new relay takes over the subdomain that an open cycle releases. */
  isTaken: fc.boolean(),
  isOneSubmit: fc.boolean()
})

type Cycle = typeof cycles extends fc.Arbitrary<infer A> ? A : never

/** The commands of a cycle, in an order in which each finds its subdomain free. */
const commandsOf = ({ isClosed, isTaken, relays }: Cycle, held: Renamed, n: number) => {
  const [first, ...rest] = relays
  const rename = (id: string, subdomain: string) => ({ _tag: "UpdateRelay", id, subdomain })
  const subdomainOf = (id: string) => held.get(id)![0]
  const free = `free-${n}`
  const moves = [rename(first!, free), ...rest.map((id, index) => rename(id, subdomainOf(relays[index]!)))]
  const left = subdomainOf(relays[relays.length - 1]!)
  if (isClosed) return [...moves, rename(first!, left)]
  return isTaken ? [...moves, { _tag: "CreateRelay", id: `new-${n}`, tenant: owner, subdomain: left }] : moves
}

/** Each relay's subdomain and version. */
type Renamed = ReadonlyMap<string, readonly [subdomain: string, version: number]>

const renamed: Effect.Effect<Renamed, StorageError, Query> = Effect.map(
  Effect.flatMap(Query, ({ relays }) => relays),
  (relays) => new Map(relays.map(({ id, subdomain, version }) => [id as string, [subdomain, version]]))
)

/**
 * Runs the cycles, each in one submit or with concurrent callers, and expects each relay to have the subdomain of its
 * last command.
 */
const rename = (program: ReadonlyArray<Cycle>) =>
  Effect.gen(function*() {
    const command = yield* Command
    const model = new Map(yield* renamed)
    for (const [n, cycle] of program.entries()) {
      const plain = commandsOf(cycle, model, n)
      const commands = yield* Effect.forEach(plain, (input) => decodeCommand(input))
      for (const { id, subdomain } of plain) model.set(id, [subdomain, (model.get(id)?.[1] ?? 0) + 1])
      const submit = (commands: ReadonlyArray<CommandRequest>) => command.submit(commands)
      if (cycle.isOneSubmit) yield* submit(commands)
      else yield* Effect.forEach(commands, (command) => submit([command]), { concurrency: "unbounded", discard: true })
      expect(yield* renamed).toEqual(new Map([...model].sort()))
    }
  })

const suite = <E>(
  name: string,
  layer: Layer.Layer<Sqlite.Services, E>,
  { change, copy }: typeof backdoor
) => {
  const test = <A, E2>(title: string, body: Effect.Effect<A, E2, Sqlite.Services>) =>
    it.live(title, () => Effect.provide(body, layer), 60_000)

  describe(`references: ${name}`, () => {
    it("are kept by renames, exchanges and cycles, in one submit and by concurrent callers", () =>
      fc.assert(
        fc.asyncProperty(fc.array(cycles, { minLength: 1, maxLength: 6 }), (program) =>
          Effect.runPromise(
            Effect.gen(function*() {
              yield* referenced(ids)
              const before = yield* references
              yield* rename(program)
              expect(yield* references).toEqual(before)
              expect((yield* verify).differences).toEqual([])
            }).pipe(Effect.provide(layer))
          )),
        { numRuns: LongRun.count("CARAVEL_RENAMES", { usual: 10, long: 1000 }), seed: LongRun.seed }
      ), LongRun.timeout(60_000))

    test(
      "are kept by every change of a tenant",
      Effect.gen(function*() {
        yield* referenced(ids)
        const before = yield* references
        const command = yield* Command
        yield* command.updateTenant({ pubkey: owner, nwcUrl: "nostr+walletconnect://two" })
        yield* command.updateTenant({ pubkey: owner, nwcUrl: null, stripeCustomerId: "cus" })
        yield* command.setTenantPastDue(owner)
        expect(yield* references).toEqual(before)
      })
    )

    test(
      "are kept by a rebuild of the rows that they refer to",
      Effect.gen(function*() {
        yield* referenced(ids)
        const before = yield* references
        const { relays, tenants } = yield* Query
        const rows = yield* Effect.all([tenants, relays])
        const relay = (resourceId: string) => ({ resourceType: "relay", resourceId }) as const
        yield* change(relay("a"), { subdomain: "x" })
        yield* change(relay("h"), { subdomain: "a", plan: "No Plan" })
        yield* change(relay("a"), { subdomain: "h" })
        yield* change(relay("b"), { tenant: other, version: 9 })
        yield* change({ resourceType: "tenant", resourceId: owner }, { nwcUrl: null, version: 7 })
        expect(yield* Effect.flatMap(Journal, (journal) => journal.rebuild())).toBe(4)
        expect(yield* references).toEqual(before)
        expect(yield* Effect.all([tenants, relays])).toEqual(rows)
      })
    )

    test(
      "prevent a rebuild from deleting a row that the journal lacks, unless the foreign key cascades",
      Effect.gen(function*() {
        yield* referenced(ids)
        yield* copy({ resourceType: "relay", resourceId: "a" }, "extra")
        yield* run("INSERT INTO certificate VALUES ('extra')", "INSERT INTO invoice VALUES ('extra')")
        yield* change({ resourceType: "relay", resourceId: "b" }, { version: 9 })
        const before = yield* references
        const journal = yield* Journal
        const error: StorageError = yield* Effect.flip(journal.rebuild())
        expect(error).toMatchObject({ _tag: "StorageError", reason: "other", operation: "Journal.rebuild" })
        expect(error.message).toContain("rows of another table refer to")
        expect(yield* references).toEqual(before)
        expect((yield* verify).differences.length).toBe(2)

        yield* run("DELETE FROM invoice WHERE relay = 'extra'")
        expect(yield* journal.rebuild()).toBe(2)
        const relay = yield* Effect.flatMap(Query, ({ relay }) => relay("extra"))
        expect(relay._tag).toBe("None")
        expect(yield* run("SELECT * FROM certificate WHERE relay = 'extra'")).toEqual([[]])
      })
    )
  })
}

suite("SQLite", Sqlite.layerTemporary, backdoor)
withPostgres("PostgreSQL", (url) => suite("PostgreSQL", layerTemporary(url), postgresBackdoor))
