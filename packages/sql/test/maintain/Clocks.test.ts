/** What a database stores about wrong clocks. */
import { type ClockFinding, Command, decodeCommand, type Drift, Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Clock, DateTime, Effect, Logger, Metric, Stream, Tracer } from "effect"
import { frozenSqlite } from "../fixtures/frozen.js"
import { activity, alice, bob, imported, relay, sourceOf, tenant } from "../fixtures/importing.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

/** Runs an effect with a clock that returns this instant. */
const at = (millis: number) =>
  Effect.withClock(Object.assign(Clock.make(), {
    currentTimeMillis: Effect.succeed(millis),
    unsafeCurrentTimeMillis: () => millis
  }))

const start = Date.UTC(2026, 0, 1)

const minutes = 60_000

const activate = (minute: number) =>
  Effect.flatMap(Command, (command) => command.activateRelay({ id: "a" })).pipe(at(start + minute * minutes))

const verified = Effect.gen(function*() {
  const steps = [...yield* Stream.runCollect((yield* Journal).verify)]
  return {
    clocks: steps.flatMap(({ clocks }): ReadonlyArray<ClockFinding> => clocks),
    differences: steps.flatMap(({ differences }): ReadonlyArray<Drift> => differences)
  }
})

const jumps = Metric.value(Metric.tagged(
  Metric.counter("caravel_clock_findings_total", {
    description: "clocks found to be wrong: jumps between events, and offsets from the database server's clock",
    incremental: true
  }),
  "kind",
  "jump"
))

it.scopedLive("a migrated journal has the latest instant up to each position", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    const database = yield* raw(filename)
    database.exec(frozenSqlite("0008"))
    database.exec("DROP TRIGGER event_unchanged")
    const instants = [5, 3, 9, 4]
    for (const [index, instant] of instants.entries()) {
      database.prepare("UPDATE event SET created_at = ? WHERE position = ?").run(instant, index + 1)
    }
    database.exec(`CREATE TRIGGER event_unchanged BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed');
  END`)
    yield* Effect.gen(function*() {
      const journal = yield* Journal
      const positions = yield* Effect.forEach(
        [2, 3, 4, 5, 8, 9],
        (instant) => journal.positionAt(DateTime.unsafeMake(instant))
      )
      expect(positions).toEqual([0, 0, 0, 2, 2, 4])
      expect((yield* verified).differences.filter(({ field }) => field === "latestAt")).toEqual([])
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
    expect(database.prepare("SELECT latest_at FROM caravel_event ORDER BY position").pluck().all()).toEqual([
      null,
      5,
      null,
      9
    ])
    expect(() => database.exec("UPDATE caravel_event SET latest_at = NULL")).toThrow("an event is never changed")
  }))

it.scopedLive("finding the position of an instant takes as many reads as the journal's length has binary digits", () =>
  Effect.gen(function*() {
    const command = yield* Command
    const journal = yield* Journal
    yield* command.createTenant({ pubkey })
    yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
    const activation = yield* decodeCommand({ _tag: "ActivateRelay", id: "a" })
    for (let n = 0; n < 4; n++) yield* command.submit(Array.from({ length: 500 }, () => activation))
    let reads = 0
    const tracer = Tracer.make({
      context: (run) => run(),
      span: (name, ...rest) => {
        if (name === "sql.Journal.positionAt") reads++
        return native.span(name, ...rest)
      }
    })
    const native = yield* Effect.tracer
    // @effect-diagnostics-next-line globalDateInEffect:off
    yield* Effect.withTracer(journal.positionAt(DateTime.unsafeMake(Date.now() - 1)), tracer)
    expect(reads).toBeGreaterThan(5)
    expect(reads).toBeLessThanOrEqual(11)
  }).pipe(Effect.provide(Sqlite.layerTemporary)))

it.scopedLive("the instants that are stored with events are verified, and do not prevent a rebuild", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    yield* Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey }).pipe(at(start))
      yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" }).pipe(at(start))
      yield* Effect.forEach([3, 1, 4], activate)
      const database = yield* raw(filename)
      database.exec("DROP TRIGGER caravel_event_unchanged")
      database.prepare("UPDATE caravel_event SET latest_at = NULL WHERE position = 4").run()
      database.prepare("UPDATE caravel_event SET latest_at = 7 WHERE position = 5").run()
      expect((yield* verified).differences).toMatchObject([
        { kind: "inconsistent", resourceType: "event", field: "latestAt", position: 4, expected: start + 3 * minutes },
        { kind: "inconsistent", resourceType: "event", field: "latestAt", position: 5, expected: null, found: 7 }
      ])
      expect(yield* (yield* Journal).rebuild()).toBe(0)
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
  }))

it.scopedLive("a jump in a caller's transaction is counted only once the transaction has committed", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const command = yield* Command
    yield* command.createTenant({ pubkey }).pipe(at(start))
    yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" }).pipe(at(start + 60 * minutes))
    const { count } = yield* jumps
    const refused = Effect.either(sql.withTransaction(Effect.zipRight(activate(1), Effect.fail("no"))))
    yield* refused
    expect((yield* jumps).count).toBe(count)
    yield* sql.withTransaction(Effect.zipRight(refused, activate(61)))
    expect((yield* jumps).count).toBe(count)
    const nested = sql.withTransaction(activate(1))
    yield* sql.withTransaction(Effect.zipRight(nested, Effect.map(jumps, (now) => expect(now.count).toBe(count))))
    expect((yield* jumps).count).toBe(count + 1)
    expect((yield* verified).clocks).toMatchObject([{ _tag: "ClockJump", position: 4 }])
  }).pipe(Effect.provide(Sqlite.layerTemporary)))

it.scopedLive("the tolerated clock difference is an option", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    yield* Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey }).pipe(at(start))
      yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" }).pipe(at(start + 60 * minutes))
      yield* activate(1)
      expect((yield* verified).clocks).toEqual([])
    }).pipe(Effect.provide(Sqlite.layer({ filename, clockTolerance: "1 hour" })))
    const { clocks } = yield* Effect.provide(verified, Sqlite.layer({ filename, clockTolerance: "1 minute" }))
    expect(clocks).toMatchObject([{ position: 3 }])
  }))

it.scopedLive("a list of more commands than are written at a time, with an earlier clock, has the latest instant", () =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey }).pipe(at(start + 60 * minutes))
    const list = Array.from({ length: 600 }, () => ({ _tag: "UpdateTenant", pubkey }) as const)
    yield* command.submit(list).pipe(at(start))
    expect((yield* verified).differences).toEqual([])
  }).pipe(Effect.provide(Sqlite.layerTemporary)))

/** An import whose events are years earlier than the one before them, and a command with an earlier clock after it. */
const importing = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: bob }).pipe(at(start))
  const source = yield* sourceOf({
    tenant: [tenant()],
    relay: [relay({ created_at: 1_500_000_000 })],
    activity: [activity(86_400, "update_tenant", { resource_type: "tenant", resource_id: alice })]
  })
  const { report } = yield* imported(source)
  expect(report).toMatchObject({ events: 3, refused: 0 })
  yield* command.activateRelay({ id: "r" }).pipe(at(0))
  expect((yield* verified).clocks).toMatchObject([{ _tag: "ClockJump", position: 5 }])
})

it.scopedLive("imported events keep the instants of their source, which is not reported", () =>
  Effect.provide(importing, Sqlite.layerTemporary))

withPostgres("Clocks on PostgreSQL", (url) => {
  it.scopedLive("imported events keep the instants of their source, which is not reported", () =>
    Effect.provide(importing, layerTemporary(url)))

  it.scopedLive("a process whose clock differs from the server's is logged, and reported by verify", () =>
    Effect.gen(function*() {
      const hour = 60 * minutes
      // @effect-diagnostics-next-line globalDateInEffect:off
      const behind = at(Date.now() - 2 * hour)
      const { make, warned } = yield* Effect.sync(() => {
        const warned: Array<string> = []
        return { warned, make: Logger.make(({ message }) => void warned.push(String(message))) }
      })
      yield* Effect.gen(function*() {
        const { clocks } = yield* verified
        expect(clocks).toMatchObject([{ _tag: "ClockOffset" }])
        const [finding] = clocks
        expect(finding?._tag === "ClockOffset" && Math.round(finding.millis / hour)).toBe(-2)
        while (warned.length === 0) yield* Effect.yieldNow()
        expect(warned[0]).toContain("The clock of this process is 2h")
        expect(warned[0]).toContain("behind the database server's")
      }).pipe(
        behind,
        Effect.provide(layerTemporary(url)),
        behind,
        Effect.provide(Logger.replace(Logger.defaultLogger, make))
      )
      expect((yield* Effect.provide(verified, layerTemporary(url))).clocks).toEqual([])
    }))
})
