import { Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Context, Effect, Layer, Schedule, type Scope } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { performance } from "node:perf_hooks"
import { Worker } from "node:worker_threads"
import type { Case } from "../Case.js"
import { relayId } from "../Input.js"
import type * as Live from "../Live.js"
import * as Load from "../Load.js"
import { file, type Scenario } from "../Scenario.js"
import * as SlowDisk from "../SlowDisk.js"
import { percentile } from "../Statistics.js"
import type { OpenOptions } from "../Subject.js"
import * as Caravel from "../subjects/Caravel.js"
import * as NaiveEffect from "../subjects/NaiveEffect.js"

/** Commands, and a read of one relay by the same client. */
interface Opened {
  readonly live: Live.Live
  readonly read: Effect.Effect<unknown>
}

const subjects: { readonly [name: string]: (options: OpenOptions) => Effect.Effect<Opened, never, Scope.Scope> } = {
  caravel: (options) =>
    Effect.gen(function*() {
      const context = yield* Effect.orDie(Layer.build(Sqlite.layer(options)))
      return {
        live: yield* Caravel.live(context),
        read: Effect.orDie(Context.get(context, Query).relay(relayId(0)))
      }
    }),
  naive: (options) =>
    Effect.gen(function*() {
      const sql = yield* NaiveEffect.client(options)
      const read = Effect.orDie(sql`SELECT * FROM caravel_relay WHERE id = ${relayId(0)}`)
      return { live: yield* NaiveEffect.over(sql), read }
    })
}

/** Asks a server on a port again and again, a millisecond after each answer, until it is told to say how long each took. */
const pinger = `
  const { Agent, get } = require("node:http")
  const { parentPort, workerData: port } = require("node:worker_threads")
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const times = []
  let ended = false
  parentPort.on("message", () => ended = true)
  const ping = () => {
    if (ended) return agent.destroy(), parentPort.postMessage(times), parentPort.close()
    const started = performance.now()
    get({ host: "127.0.0.1", port, agent }, (response) => {
      response.resume().on("end", () => {
        times.push(performance.now() - started)
        setTimeout(ping, 1)
      })
    })
  }
  ping()
`

/** Pings an HTTP server of this process from another thread while an effect runs. Returns how long each ping took. */
const pinged = <A>(effect: Effect.Effect<A>) =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => createServer((_, response) => void response.end("pong"))),
      (server) => Effect.sync(() => server.close())
    )
    yield* Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
    const { port } = server.address() as AddressInfo
    const worker = yield* Effect.acquireRelease(
      Effect.sync(() => new Worker(pinger, { eval: true, workerData: port })),
      (worker) => Effect.promise(() => worker.terminate())
    )
    const result = yield* effect
    const times = yield* Effect.async<ReadonlyArray<number>>((resume) => {
      worker.once("message", (times: ReadonlyArray<number>) => resume(Effect.succeed(times)))
      worker.postMessage("end")
    })
    return [result, times] as const
  })

/** What writers on a slow disk do to everything else in the process. */
export const scenario: Scenario = {
  title: "Reads beside writers",
  description:
    "64 callers write at FULL to a disk whose syncs take a chosen time; another fiber reads one relay, and another thread " +
    "asks an HTTP server of the same process, each a millisecond after the last answer. Commands per second, and the " +
    "milliseconds of a read and of a request.",
  figures: { "commands/s": 0, "read p50": 2, "read p99": 2, "ping p50": 2, "ping p99": 2 },
  comparisons: [
    { title: "× naive", figure: "commands/s", to: (value) => ({ ...value, subject: "naive" }) },
    { title: "read p99 × naive", figure: "read p99", to: (value) => ({ ...value, subject: "naive" }) },
    { title: "ping p99 × naive", figure: "ping p99", to: (value) => ({ ...value, subject: "naive" }) }
  ],
  rounds: 3,
  slowDisk: true,
  cases: () =>
    [0.1, 1, 5].flatMap((syncMillis) =>
      Object.keys(subjects).map((subject): Case => ({ subject, synchronous: "full", callers: 64, syncMillis }))
    ),
  measure: (value, place) =>
    Effect.gen(function*() {
      const { callers = 64, subject, syncMillis = 0, synchronous = "full" } = value
      const { millis, relays, warmUpMillis } = place.settings
      const open = subjects[subject]
      if (open === undefined) return yield* Effect.dieMessage(`no subject of this scenario is called ${subject}`)
      const { live, read } = yield* open({ filename: yield* file(value, place), synchronous, relays })
      yield* SlowDisk.slowed(syncMillis)
      yield* Effect.forkScoped(live.follow(() => Effect.void))
      const run = Load.effectful(live.execute)
      const load = { command: "deactivateRelay", callers, relays } as const
      yield* run({ ...load, millis: warmUpMillis })

      const reads: Array<number> = []
      let hasEnded = false
      const timed = Effect.suspend(() => {
        const started = performance.now()
        return Effect.map(read, () => void reads.push(performance.now() - started))
      })
      const [[{ commands, millis: taken }], pings] = yield* pinged(Effect.all([
        Effect.tap(run({ ...load, millis: millis * 3 }), () => Effect.sync(() => hasEnded = true)),
        Effect.repeat(timed, { schedule: Schedule.spaced("1 millis"), until: () => hasEnded })
      ], { concurrency: 2 }))
      return {
        "commands/s": commands / taken * 1000,
        "read p50": percentile(reads, 0.5),
        "read p99": percentile(reads, 0.99),
        "ping p50": percentile(pings, 0.5),
        "ping p99": percentile(pings, 0.99)
      }
    })
}
