/** Everything at once for ten minutes: what a process uses stays flat, and nothing is lost. */
import { PostgresSchema } from "@caravel/bench"
import { ActivityFeed, Journal, Query } from "@caravel/domain"
import { Server } from "@caravel/http"
import { Consumer } from "@caravel/pubsub"
import { Backup } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { SqlClient } from "@effect/sql/SqlClient"
import {
  Cause,
  Context,
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
import { fork } from "node:child_process"
import { createServer, get } from "node:http"
import { extname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Kind, Settings } from "../Kind.js"
import { created, relays, writing } from "./Load.js"
import * as Samples from "./Samples.js"
import * as Storage from "./Storage.js"

const child = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

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

/** A follower that starts somewhere, reads a while, and starts again. */
const following = Effect.gen(function*() {
  const feed = yield* ActivityFeed
  const head = yield* Effect.flatMap(Journal, ({ head }) => head)
  const from = yield* Random.nextIntBetween(0, head + 1)
  const count = yield* Random.nextIntBetween(1, 5_000)
  yield* Stream.runDrain(Stream.take(feed.since(from), count)).pipe(Effect.timeoutOption("10 seconds"))
}).pipe(Effect.forever)

/** A process on the same database that writes and follows, and is killed every few seconds. */
const restarting = ({ child: { arguments: args, variables } }: Storage.Storage) =>
  Effect.acquireUseRelease(
    Effect.sync(() =>
      fork(child, [...args], { stdio: ["ignore", "ignore", "inherit", "ipc"], env: { ...process.env, ...variables } })
    ),
    (child) =>
      Effect.async<void>((resume) => void child.once("message", () => resume(Effect.void))).pipe(
        Effect.zipRight(Effect.flatMap(Random.nextIntBetween(1_000, 8_000), Effect.sleep))
      ),
    (child) =>
      Effect.async<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  ).pipe(Effect.forever)

/** Requests to the host: reads, and a live stream that is ended and begun again. */
const requesting = (url: string) => {
  const request = (path: string, millis?: number) =>
    Effect.async<void>((resume) => {
      const sent = get(`${url}${path}`, (response) => {
        response.resume()
        response.on("close", () => resume(Effect.void))
      })
      sent.on("error", () => resume(Effect.void))
      return Effect.sync(() => sent.destroy())
    }).pipe((effect) => millis === undefined ? effect : Effect.timeoutOption(effect, millis))
  const reading = Random.nextIntBetween(0, relays).pipe(
    Effect.flatMap((n) => request(`/v1/relays/r${n}`)),
    Effect.zipRight(Effect.sleep("20 millis")),
    Effect.forever
  )
  const streaming = Effect.forever(request("/v1/activity/stream", 5_000))
  return Effect.all([reading, reading, streaming, streaming], { concurrency: "unbounded", discard: true })
}

const hosting = Effect.gen(function*() {
  const listening = yield* Layer.build(
    NodeHttpServer.layer(() => Server.endAbandoned(createServer()), { host: "127.0.0.1", port: 0 })
  )
  yield* Layer.build(Layer.provide(Server.layer({ drainTimeout: "1 second" }), Layer.succeedContext(listening)))
  yield* requesting(yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening))
}).pipe(Effect.scoped)

/** Whether the rows are those of the journal. */
const isSound = Effect.flatMap(Journal, ({ verify }) => Stream.runLast(verify)).pipe(
  Effect.map(Option.exists(({ differences }) => differences.length === 0))
)

/** Backups and verifications, one after another, for a constant share of the time: they read the whole journal. */
const maintaining = ({ place }: Storage.Storage, directory: string, found: (wrong: string) => void) =>
  Effect.gen(function*() {
    yield* Backup.backup({ from: place, to: join(directory, "soak.backup"), overwrite: true })
    if (!(yield* isSound)) found("the rows differ from the journal, under load")
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
    if (!(yield* isSound)) found("the rows differ from the journal")
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
    const everything = yield* Effect.all([
      writing(() => void commands++),
      failing,
      following,
      following,
      hosting,
      maintaining(storage, directory, found),
      restarting(storage),
      readingLong(storage, seconds)
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
    Option.match(yield* Fiber.poll(everything), {
      onNone: () => {},
      onSome: (exit) => found(`a part of the load has ended: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""}`)
    })
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
