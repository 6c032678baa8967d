/** Everything at once for ten minutes: what a process uses stays flat, and nothing is lost. */
import { ActivityFeed, Journal, Query } from "@caravel/domain"
import { Server } from "@caravel/http"
import { Consumer } from "@caravel/pubsub"
import { Backup, Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { SqlClient } from "@effect/sql/SqlClient"
import SqliteDatabase from "better-sqlite3"
import { Context, Effect, Exit, Fiber, Layer, Option, Random, Ref, RuntimeFlags, RuntimeFlagsPatch, Schedule, Stream } from "effect"
import { fork } from "node:child_process"
import { createServer, get } from "node:http"
import { extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Finding, Kind, Settings } from "../Kind.js"
import { created, relays, writing } from "./Load.js"
import * as Samples from "./Samples.js"

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
  handle: () => Effect.flatMap(Random.nextIntBetween(0, 1000), (n) => n === 0 ? Effect.fail("now and then") : Effect.void)
})

/** A follower that starts somewhere, reads a while, and starts again. */
const following = Effect.gen(function*() {
  const feed = yield* ActivityFeed
  const head = yield* Effect.flatMap(Journal, ({ head }) => head)
  const from = yield* Random.nextIntBetween(0, head + 1)
  const count = yield* Random.nextIntBetween(1, 5_000)
  yield* Stream.runDrain(Stream.take(feed.since(from), count)).pipe(Effect.timeoutOption("10 seconds"))
}).pipe(Effect.forever)

/** A process on the same file that writes and follows, and is killed every few seconds. */
const restarting = (filename: string) =>
  Effect.acquireUseRelease(
    Effect.sync(() => fork(child, [filename], { stdio: ["ignore", "ignore", "inherit", "ipc"] })),
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
  const listening = yield* Layer.build(NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }))
  yield* Layer.build(Layer.provide(Server.layer({ drainTimeout: "1 second" }), Layer.succeedContext(listening)))
  yield* requesting(yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening))
}).pipe(Effect.scoped)

/** Backups and verifications, one after another. */
const maintaining = (filename: string, directory: string, findings: Ref.Ref<ReadonlyArray<Finding>>) =>
  Effect.gen(function*() {
    yield* Backup.backup({ from: filename, to: join(directory, "soak.backup"), overwrite: true })
    const last = yield* Effect.flatMap(Journal, ({ verify }) => Stream.runLast(verify))
    if (!Option.exists(last, ({ differences }) => differences.length === 0)) {
      yield* Ref.update(findings, (all) => [...all, { title: "the rows differ from the journal", details: JSON.stringify(last) }])
    }
    yield* Effect.sleep("10 seconds")
  }).pipe(Effect.forever)

/** Another program that reads for a tenth of the time, so that the log cannot be cut. */
const readingLong = (filename: string, seconds: number) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new SqliteDatabase(filename, { readonly: true })),
    (database) =>
      Effect.gen(function*() {
        yield* Effect.sleep(`${seconds * 0.5} seconds`)
        database.exec("BEGIN; SELECT count(*) FROM caravel_relay")
        yield* Effect.sleep(`${seconds * 0.1} seconds`)
        database.exec("COMMIT")
        return yield* Effect.never
      }),
    (database) => Effect.sync(() => database.close())
  )

/** What was written is handled once, and the rows are those of the journal. */
const nothingIsLost = Effect.gen(function*() {
  const head = yield* Effect.flatMap(Journal, ({ head }) => head)
  const sql = yield* SqlClient
  const positions = (yield* Effect.flatMap(Query, ({ activity }) => activity())).map(({ position }) => position)
  yield* Effect.timeoutFail(Consumer.awaitPosition("handled", positions.at(-1)!), {
    duration: "2 minutes",
    onTimeout: () => "behind" as const
  })
  const [row] = yield* sql`SELECT count(*) AS handled, count(DISTINCT position) AS positions FROM handled`
  const last = yield* Effect.flatMap(Journal, ({ verify }) => Stream.runLast(verify))
  const checks: ReadonlyArray<readonly [boolean, string]> = [
    [Number(row?.["handled"]) === positions.length && Number(row?.["positions"]) === positions.length, "an activity was not handled once"],
    [Option.exists(last, ({ differences }) => differences.length === 0), "the rows differ from the journal"]
  ]
  return { head, wrong: checks.filter(([holds]) => !holds).map(([, wrong]) => wrong) }
})

const search = ({ directory, long, progress }: Settings) =>
  Effect.gen(function*() {
    const seconds = long ? 600 : 6
    const filename = join(directory, "soak.db")
    const findings = yield* Ref.make<ReadonlyArray<Finding>>([])
    let commands = 0
    const sample = Effect.suspend(() => {
      const before = commands
      commands = 0
      return Samples.take(before, `${filename}-wal`, Effect.succeed(0))
    })
    const before = yield* sample
    const samples: Array<Samples.Sample> = []

    const { head, wrong } = yield* Effect.gen(function*() {
      const services = yield* Layer.build(Sqlite.layer({ filename }))
      const sql = Context.get(services, SqlClient)
      yield* sql`CREATE TABLE handled (position INTEGER)`
      yield* Effect.provide(created, services)
      const consumer = yield* Effect.forkScoped(Effect.provide(consuming, services))
      const load = yield* Effect.all([
        writing(() => void commands++),
        failing,
        following,
        following,
        hosting,
        maintaining(filename, directory, findings),
        restarting(filename),
        readingLong(filename, seconds)
      ], { concurrency: "unbounded", discard: true }).pipe(Effect.provide(services), Effect.forkScoped)
      const sampling = Effect.flatMap(sample, (taken) => Effect.sync(() => void samples.push(taken)))
      const told = Effect.suspend(() => progress(JSON.stringify(samples.at(-1))))
      yield* sampling.pipe(
        Effect.zipRight(Effect.when(told, () => samples.length % 30 === 0)),
        Effect.schedule(Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(seconds)))
      )
      // Nothing of the load may have ended.
      const ended = yield* Fiber.poll(load)
      if (Option.isSome(ended)) yield* Ref.update(findings, (all) => [...all, { title: "a part of the load has ended", details: String(Exit.isFailure(ended.value) ? ended.value.cause : "") }])
      yield* Fiber.interrupt(load)
      const result = yield* Effect.provide(nothingIsLost, services)
      yield* Fiber.interrupt(consumer)
      return result
    }).pipe(Effect.scoped)

    const after = yield* sample
    const compared = Samples.compared(samples)
    for (const { early, figure, isFlat, late } of compared) {
      yield* progress(`${figure}: ${early} early, ${late} late`)
      if (long && !isFlat) yield* Ref.update(findings, (all) => [...all, { title: `${figure} is not flat`, details: `${early} early, ${late} late` }])
    }
    if (after.descriptors > before.descriptors + 3) {
      wrong.push(`${after.descriptors - before.descriptors} descriptors are open after the end`)
    }
    if (after.fibers > before.fibers + 3) wrong.push(`${after.fibers - before.fibers} fibers run after the end`)
    const tried = {
      seconds,
      events: head,
      ...Object.fromEntries(compared.flatMap(({ early, figure, late }) => [[`${figure} early`, early], [`${figure} late`, late]])),
      "logMiB at most": Math.round(Samples.highest(samples, "logMiB"))
    }
    return { tried, findings: [...yield* findings, ...wrong.map((title) => ({ title, details: "after the load" }))] }
  }).pipe(
    // Counts fibers.
    Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics))
  )

/** Soak. */
export const soak: Kind = {
  title: "soak",
  description: "64 callers, consumers, followers, a host, backups, verifications and a process that is killed, all at once.",
  run: (settings) =>
    Effect.withRandom(search(settings), Random.make(settings.seed)).pipe(
      Effect.mapError((error) => typeof error === "string" ? { message: error } : error)
    )
}
