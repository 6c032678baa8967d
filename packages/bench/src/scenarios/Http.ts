import { Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Context, Effect, Layer, Schedule, type Scope } from "effect"
import { performance } from "node:perf_hooks"
import { Pool } from "undici"
import type { Case } from "../Case.js"
import { type Input, relayId } from "../Input.js"
import * as Load from "../Load.js"
import { file, type Scenario } from "../Scenario.js"
import * as ServerProcess from "../ServerProcess.js"
import { percentile } from "../Statistics.js"
import type { OpenOptions } from "../Subject.js"
import * as Caravel from "../subjects/Caravel.js"

/** Commands, and a read of one relay, in this process or by HTTP. */
interface Opened {
  readonly run: Load.Session["run"]
  readonly read: Effect.Effect<unknown>
}

type Open = (options: OpenOptions, callers: number) => Effect.Effect<Opened, never, Scope.Scope>

const inProcess: Open = (options) =>
  Effect.gen(function*() {
    const context = yield* Effect.orDie(Layer.build(Sqlite.layer(options)))
    const { execute, follow } = yield* Caravel.live(context)
    yield* Effect.forkScoped(follow(() => Effect.void))
    const query = Context.get(context, Query)
    return { run: Load.effectful(execute), read: Effect.orDie(query.relay(relayId(0))) }
  })

const connected = (url: string, connections: number) =>
  Effect.acquireRelease(
    Effect.sync(() => new Pool(url, { connections })),
    (pool) => Effect.promise(() => pool.destroy())
  )

const headers = { "content-type": "application/json" }

const paths = { createRelay: "/v1/commands/create-relay", deactivateRelay: "/v1/commands/deactivate-relay" }

const overHttp = (subject: string): Open => (options, callers) =>
  Effect.gen(function*() {
    const url = yield* ServerProcess.start(subject, options)
    const commands = yield* connected(url, callers)
    const reads = yield* connected(url, 1)
    const request = async (pool: Pool, path: string, input?: Omit<Input, "_tag">) => {
      const { body, statusCode } = input === undefined
        ? await pool.request({ method: "GET", path })
        : await pool.request({ method: "POST", path, headers, body: JSON.stringify(input) })
      const text = await body.text()
      if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`)
    }
    return {
      run: Load.promising(({ _tag, ...input }) => request(commands, paths[_tag], input)),
      read: Effect.promise(() => request(reads, `/v1/relays/${relayId(0)}`))
    }
  })

const subjects: { readonly [name: string]: Open } = {
  caravel: inProcess,
  "caravel-http": overHttp("caravel-http"),
  "naive-http": overHttp("naive-http")
}

/** What HTTP costs. */
export const scenario: Scenario = {
  title: "Over HTTP",
  description:
    "64 callers, each with a connection of its own, to a server in another process that serves Caravel's layers as " +
    "caravel serve does, or to a bare server of Node whose handler is naive Effect; and the same commands in the caller's " +
    "process. Commands per second, and the milliseconds of reading one relay meanwhile, once every millisecond.",
  figures: { "commands/s": 0, "read p50": 2, "read p99": 2 },
  comparisons: [
    { title: "× naive-http", figure: "commands/s", to: (value) => ({ ...value, subject: "naive-http" }) },
    { title: "× in-process", figure: "commands/s", to: (value) => ({ ...value, subject: "caravel" }) },
    { title: "read p99 × naive-http", figure: "read p99", to: (value) => ({ ...value, subject: "naive-http" }) }
  ],
  cases: ({ commands }) =>
    commands.flatMap((command) =>
      Object.keys(subjects).map((subject): Case => ({ subject, command, synchronous: "full", callers: 64 }))
    ),
  measure: (value, place) =>
    Effect.gen(function*() {
      const { callers = 64, command = "deactivateRelay", subject, synchronous = "full" } = value
      const { relays, serverMillis: millis, warmUpMillis } = place.settings
      const open = subjects[subject]
      if (open === undefined) return yield* Effect.dieMessage(`no subject of this scenario is called ${subject}`)
      const { read, run } = yield* open({ filename: yield* file(value, place), synchronous, relays }, callers)
      const load = { command, callers, relays }
      yield* read
      yield* Load.warmUp(run, { ...load, millis: warmUpMillis })

      const reads: Array<number> = []
      let hasEnded = false
      const timed = Effect.suspend(() => {
        const started = performance.now()
        return Effect.map(read, () => void reads.push(performance.now() - started))
      })
      const [{ commands, millis: taken }] = yield* Effect.all([
        Effect.tap(run({ ...load, millis }), () => Effect.sync(() => hasEnded = true)),
        Effect.repeat(timed, { schedule: Schedule.spaced("1 millis"), until: () => hasEnded })
      ], { concurrency: 2 })
      return {
        "commands/s": commands / taken * 1000,
        "read p50": percentile(reads, 0.5),
        "read p99": percentile(reads, 0.99)
      }
    })
}
