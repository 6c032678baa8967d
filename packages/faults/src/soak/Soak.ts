/** Everything at once for ten minutes: what a process uses stays flat, and nothing is lost. */
import { PostgresSchema } from "@caravel/bench"
import { type Activity, ActivityFeed, type Drift, Journal, Query } from "@caravel/domain"
import { Server } from "@caravel/http"
import { Consumer } from "@caravel/pubsub"
import { Backup } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { SqlClient } from "@effect/sql/SqlClient"
import {
  Cause,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Random,
  RuntimeFlags,
  RuntimeFlagsPatch,
  Schedule,
  Stream
} from "effect"
import { createServer } from "node:http"
import { join } from "node:path"
import { drifts } from "../Drifts.js"
import type { Kind, Settings } from "../Kind.js"
import { restarting } from "./Beside.js"
import { created, writing } from "./Load.js"
import { requesting, type Seen } from "./Requests.js"
import * as Samples from "./Samples.js"
import * as Storage from "./Storage.js"

/** What must have happened before the load ends, however slow the machine is. */
const milestones = Effect.all({
  "the host has answered": Effect.makeLatch(),
  "a live stream of the host has had an activity": Effect.makeLatch(),
  "the process beside was ready": Effect.makeLatch(),
  "a backup was made, and the rows were verified": Effect.makeLatch()
})

/** How long a milestone may take after the time of the load. */
const patience = "2 minutes"

/** The consumer whose handlers are in the transaction of its checkpoint. */
const consuming = Effect.flatMap(SqlClient, (sql) =>
  Consumer.run({
    name: "handled",
    from: "beginning",
    transactional: true,
    handle: ({ position }) => Effect.asVoid(sql`INSERT INTO handled (position) VALUES (${position})`)
  }))

/** A consumer whose handlers fail now and then. */
const failing = Consumer.run({
  name: "failing",
  from: "now",
  concurrency: 8,
  handle: () =>
    Effect.flatMap(Random.nextIntBetween(0, 1000), (n) => n === 0 ? Effect.fail("now and then") : Effect.void)
})

/** Activities are missing, or are there twice. */
class NotConsecutive extends Data.TaggedError("NotConsecutive")<{ readonly message: string }> {}

/** A follower that starts somewhere, reads a while, and starts again. All commands of the load log an activity. */
const following = Effect.gen(function*() {
  const feed = yield* ActivityFeed
  const head = yield* Effect.flatMap(Journal, ({ head }) => head)
  const from = yield* Random.nextIntBetween(0, head + 1)
  const count = yield* Random.nextIntBetween(1, 5_000)
  yield* Stream.take(feed.since(from), count).pipe(
    Stream.runFoldEffect<number, Activity, NotConsecutive, never>(from, (last, { position }) =>
      position === last + 1
        ? Effect.succeed(position)
        : new NotConsecutive({ message: `a follower has read position ${position} after ${last}` })),
    Effect.timeoutOption("10 seconds")
  )
}).pipe(Effect.forever)

const hosting = (seen: Seen) =>
  Effect.gen(function*() {
    const node = Server.endAbandoned(createServer())
    const listening = yield* Layer.build(NodeHttpServer.layer(() => node, { host: "127.0.0.1", port: 0 }))
    // The platform waits for connections on which nothing was ever sent.
    yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
    yield* Layer.build(Layer.provide(Server.layer({ drainTimeout: "1 second" }), Layer.succeedContext(listening)))
    yield* requesting(yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening), seen)
  }).pipe(Effect.scoped)

/** The first of some drifts. */
const shown = (drifts: ReadonlyArray<Drift>) => JSON.stringify(drifts.slice(0, 10))

/** Backups and verifications, one after another, for a constant share of the time: they read the whole journal. */
const maintaining = (
  { place }: Storage.Storage,
  directory: string,
  found: (wrong: string) => void,
  onMaintained: () => void
) =>
  Effect.gen(function*() {
    yield* Backup.backup({ from: place, to: join(directory, "soak.backup"), overwrite: true })
    const different = yield* drifts
    if (different.length > 0) found(`the rows differ from the journal, under load: ${shown(different)}`)
    onMaintained()
  }).pipe(
    Effect.timed,
    Effect.flatMap(([time]) => Effect.sleep(Duration.times(time, 4))),
    Effect.forever
  )

/** Another program that reads for a tenth of the time, so that the log cannot be cut. */
const readingLong = ({ reading }: Storage.Storage, seconds: number) =>
  Effect.sleep(`${seconds * 0.5} seconds`).pipe(
    Effect.zipRight(reading(Effect.sleep(`${seconds * 0.1} seconds`))),
    Effect.zipRight(Effect.never)
  )

/** Waits until the consumer has handled a position, as long as it moves: its handlers may have fallen far behind. */
const handledUpTo = (position: number) =>
  Effect.suspend(() => {
    let before: number | undefined
    const moving = Effect.flatMap(Consumer.lag("handled"), ({ position }) => {
      if (position === before) return Effect.fail(new Cause.TimeoutException(`the consumer stays at ${position}`))
      before = position
      return Effect.sleep("1 minute")
    })
    return Effect.raceFirst(Consumer.awaitPosition("handled", position), Effect.forever(moving))
  })

/** Looks whether everything that was written was handled once, and returns the last position. */
const examined = (found: (wrong: string) => void) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const positions = (yield* Effect.flatMap(Query, ({ activity }) => activity())).map(({ position }) => position)
    yield* handledUpTo(positions.at(-1)!)
    const [row] = yield* sql`SELECT count(*) AS handled, count(DISTINCT position) AS positions FROM handled`
    const isHandledOnce = Number(row?.["handled"]) === positions.length &&
      Number(row?.["positions"]) === positions.length
    if (!isHandledOnce) found("an activity was not handled once")
    const different = yield* drifts
    if (different.length > 0) found(`the rows differ from the journal: ${shown(different)}`)
    return yield* Effect.flatMap(Journal, ({ head }) => head)
  })

/** Runs everything for some seconds, takes samples, and returns the last position. */
const load = (
  storage: Storage.Storage,
  { directory, progress }: Settings,
  seconds: number,
  samples: Array<Samples.Sample>,
  found: (wrong: string) => void
) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(storage.layer)
    yield* Context.get(services, SqlClient)`CREATE TABLE handled (position BIGINT)`
    yield* Effect.provide(created, services)
    const consumer = yield* Effect.forkScoped(Effect.provide(consuming, services))
    let commands = 0
    const reached = yield* milestones
    const broken = yield* Effect.makeLatch()
    // At once: the end of one part does not end others that are within a timeout.
    const part = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
      Effect.onExit(effect, (exit) => {
        if (Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)) return Effect.void
        found(`a part of the load has ended: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""}`)
        return broken.open
      })
    const everything = yield* Effect.all([
      part(writing(() => void commands++)),
      part(failing),
      part(following),
      part(following),
      part(hosting({
        answer: () => reached["the host has answered"].unsafeOpen(),
        activity: () => reached["a live stream of the host has had an activity"].unsafeOpen()
      })),
      part(
        maintaining(
          storage,
          directory,
          found,
          () => reached["a backup was made, and the rows were verified"].unsafeOpen()
        )
      ),
      part(restarting(storage, () => reached["the process beside was ready"].unsafeOpen())),
      part(readingLong(storage, seconds))
    ], { concurrency: "unbounded", discard: true }).pipe(Effect.provide(services), Effect.forkScoped)
    // A busy process takes a sample some time after each second.
    let since = performance.now()
    const sample = Effect.gen(function*() {
      yield* Effect.sleep("1 second")
      const now = performance.now()
      const rate = commands / (now - since) * 1000
      commands = 0
      since = now
      samples.push(yield* Samples.take(rate, storage))
      if (samples.length % 30 === 0) yield* progress(JSON.stringify(samples.at(-1)))
    })
    yield* Effect.repeat(sample, Schedule.recurUpTo(Duration.seconds(seconds)))
    for (const [milestone, { await: reach }] of Object.entries(reached)) {
      // Once a part of the load has ended, there is no more to come.
      const inTime = yield* Effect.timeoutOption(Effect.raceFirst(reach, broken.await), patience)
      if (Option.isNone(inTime)) found(`not within ${patience}: ${milestone}`)
    }
    yield* Fiber.interrupt(everything)
    const head = yield* Effect.provide(examined(found), services)
    yield* Fiber.interrupt(consumer)
    return head
  }).pipe(Effect.scoped)

/** What the thread that checks files keeps open. */
const keptDescriptors = 8

/** The time of a soak, in seconds. */
const lengths = { short: 2, long: 600 }

/**
 * Waits for what ends after the load: the server closes connections when their clients have gone, and the fiber of a
 * request ends when its connection is closed. Returns a sample after that.
 */
const settled = (storage: Storage.Storage, before: Samples.Sample) => {
  const sample = Samples.take(0, storage)
  return Effect.repeat(sample, {
    until: ({ connections, fibers }) => connections <= before.connections && fibers <= before.fibers,
    // A timeout would run in fibers, which count.
    schedule: Schedule.intersect(Schedule.spaced("100 millis"), Schedule.recurs(100))
  }).pipe(Effect.zipRight(sample))
}

const search = (storage: Storage.Storage, settings: Settings) =>
  Effect.gen(function*() {
    const seconds = settings.long ? lengths.long : lengths.short
    const samples: Array<Samples.Sample> = []
    const wrong: Array<string> = []
    const found = (what: string) => void wrong.push(what)
    const before = yield* Samples.take(0, storage)
    const head = yield* load(storage, settings, seconds, samples, found)
    const after = yield* settled(storage, before)

    const compared = Samples.compared(samples)
    for (const { early, figure, isFlat, late } of compared) {
      yield* settings.progress(`${figure}: ${early} early, ${late} late`)
      // In a few seconds, everything grows.
      if (settings.long && !isFlat) found(`${figure} is not flat: ${early} early, ${late} late`)
    }
    if (after.descriptors > before.descriptors + keptDescriptors) {
      found(`${after.descriptors - before.descriptors} descriptors are open after the end`)
    }
    if (after.fibers > before.fibers) found(`${after.fibers - before.fibers} fibers run after the end`)
    if (after.connections > before.connections) found("connections are open after the end")
    const tried = {
      seconds,
      events: head,
      ...Object.fromEntries(
        compared.flatMap(({ early, figure, late }) => [[`${figure} early`, early], [`${figure} late`, late]])
      ),
      "logMiB at most": Math.round(Samples.highest(samples, "logMiB"))
    }
    return { tried, findings: wrong.map((title) => ({ title, details: "everything at once" })) }
  }).pipe(
    // Counts fibers.
    Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics))
  )

const description =
  "64 callers, consumers, followers, a host, backups, verifications and a process that is killed, all at once."

/** Everything at once, on SQLite. */
export const soak: Kind = {
  title: "a soak on SQLite",
  description,
  run: (settings) => Effect.withRandom(search(Storage.sqlite(settings.directory), settings), Random.make(settings.seed))
}

/** Everything at once, on PostgreSQL. */
export const soakPostgres: Kind = {
  title: "a soak on PostgreSQL",
  description,
  skipped: PostgresSchema.skipped,
  run: (settings) =>
    Effect.flatMap(Storage.postgres, (storage) => search(storage, settings)).pipe(
      Effect.withRandom(Random.make(settings.seed))
    )
}
