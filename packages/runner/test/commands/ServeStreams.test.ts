/** The activity stream of `caravel serve` with many clients: some are slow, some reconnect, and the host is killed. */
import { LongRun } from "@caravel/conformance"
import { expect, it } from "@effect/vitest"
import { Array as Arr, Deferred, Effect } from "effect"
import { readFileSync } from "node:fs"
import { Agent, get, type IncomingMessage } from "node:http"
import process from "node:process"
import { host, send } from "../host.js"
import { temporary } from "../process.js"

/** A tenth of them is slow, another tenth reconnects at random. Node raises its limit of open files to the hard one. */
const clients = LongRun.count("CARAVEL_STREAMS", { usual: 30, long: 1000 })
const commands = LongRun.count("CARAVEL_STREAMED", { usual: 400, long: 20_000 })
const kills = LongRun.count("CARAVEL_STREAM_KILLS", { usual: 2, long: 10 })
const writers = 16
const tenant = "ab".repeat(32)

/** A complete event of an activity. */
const activity = /id: [0-9a-f-]{36}:(\d+)\nevent: \w+\ndata: \{"position":(\d+),.*\}\n\n/g

type Kind = "steady" | "slow" | "reconnecting"

/** A client: it checks that it receives each activity once and in order, and continues after the last one. */
class Client {
  position: number | undefined
  connections = 0
  /** Whether it waits after each piece that it has read. */
  waits: boolean
  problem: string | undefined
  private id = ""
  private rest = ""
  private leavesAt = Number.POSITIVE_INFINITY
  private response: IncomingMessage | undefined

  readonly kind: Kind
  private readonly progress: () => void
  private readonly random: (most: number) => number

  /** Without `since` it starts with what happens from now on. */
  constructor(kind: Kind, since: number | undefined, progress: () => void, random: (most: number) => number) {
    this.kind = kind
    this.waits = kind === "slow"
    this.position = since
    this.progress = progress
    this.random = random
  }

  /** Reads until the connection ends, for whatever reason. */
  connection(url: string): Effect.Effect<void> {
    return Effect.async((resume) => {
      const ended = () => resume(Effect.void)
      this.connections++
      this.rest = ""
      const headers = this.id === "" ? {} : { "last-event-id": this.id }
      const query = this.id === "" && this.position !== undefined ? `?since=${this.position}` : ""
      const sent = get(`${url}/v1/activity/stream${query}`, { agent: false, headers }, (response) => {
        this.response = response
        if (response.statusCode !== 200) this.problem = `status ${response.statusCode}`
        response.setEncoding("latin1").on("data", (text: string) => this.read(text)).on("error", ended)
        response.on("close", ended)
      }).on("error", ended)
      return Effect.sync(() => sent.destroy())
    })
  }

  /** Reads on, if it waits. */
  goOn(): void {
    this.response?.resume()
  }

  private read(text: string) {
    this.rest += text
    if (this.position === undefined) {
      const [, id, head] = /^id: ([0-9a-f-]{36}:(\d+))\nretry/.exec(this.rest) ?? []
      if (id === undefined) return
      this.id = id
      this.position = Number(head)
    }
    let end = 0
    for (const { 0: event, 1: id, 2: position, index } of this.rest.matchAll(activity)) {
      end = index + event.length
      if (id !== position || Number(position) !== this.position + 1) {
        this.problem ??= `${position} after ${this.position}, with the id ${id}`
      }
      this.position = Number(position)
      this.id = event.slice(4, event.indexOf("\n"))
    }
    this.rest = this.rest.slice(end)
    if (this.rest.includes("event: problem")) this.problem ??= this.rest
    if (this.waits) this.response?.pause()
    if (this.kind === "reconnecting") this.perhapsLeave()
    this.progress()
  }

  private perhapsLeave() {
    const position = this.position ?? 0
    if (position >= this.leavesAt) {
      this.leavesAt = Number.POSITIVE_INFINITY
      this.response?.destroy()
    } else if (this.leavesAt === Number.POSITIVE_INFINITY) {
      this.leavesAt = position + 1 + this.random(commands / 5)
    }
  }
}

/** The most memory that a process has had, in MiB, where the system tells. */
const peakMemory = (pid: number): number | undefined => {
  try {
    const [, kibibytes] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
    return kibibytes === undefined ? undefined : Number(kibibytes) / 1024
  } catch {
    return undefined
  }
}

it.scopedLive(
  `${clients} clients of a host that is killed ${kills} times receive each activity once, in order`,
  () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(Effect.sync(temporary), ({ remove }) => Effect.sync(remove))
      const agent = new Agent({ keepAlive: true, maxSockets: writers })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      const peaks: Array<number> = []
      let running = yield* host(directory.path)
      /** The host to connect to, while there is one. */
      let serving = yield* Deferred.make<string>()
      yield* Deferred.succeed(serving, running.url)
      const url = Effect.suspend(() => Deferred.await(serving))

      const waiting = new Set<() => void>()
      const progress = () => {
        for (const check of waiting) check()
      }
      const until = (condition: () => boolean) =>
        Effect.async<void>((resume) => {
          const check = () => {
            if (!condition()) return
            waiting.delete(check)
            resume(Effect.void)
          }
          waiting.add(check)
          check()
        })

      let answered = 0
      /** Sends a command until it is answered; its key makes that safe. */
      const execute = (path: string, body: object, key: string): Effect.Effect<void> =>
        Effect.flatMap(Effect.flatMap(url, (url) => send(url, agent, path, body, key)), ({ error, status }) => {
          if (error !== undefined) return execute(path, body, key)
          expect(status).toBe(200)
          answered++
          progress()
          return Effect.void
        })
      yield* execute("create-tenant", { pubkey: tenant }, "tenant")
      const early = 50
      const update = (n: number) => execute("update-tenant", { pubkey: tenant }, `update ${n}`)
      yield* Effect.forEach(Arr.range(1, early), update, { concurrency: writers })

      // The clients are no effects, so they have a generator of their own (Park and Miller).
      let state = LongRun.seed + 1
      const random = (most: number) => (state = state * 48_271 % 2_147_483_647) % most
      let ahead = 0
      const all = Arr.makeBy(clients, (n) =>
        new Client(
          n % 10 === 0 ? "slow" : n % 10 === 1 ? "reconnecting" : "steady",
          n % 2 === 0 ? random(early) : undefined,
          progress,
          random
        ))
      yield* Effect.forkScoped(Effect.forEach(
        all,
        (client) => Effect.forever(Effect.flatMap(url, (url) => client.connection(url))),
        { concurrency: "unbounded" }
      ))
      yield* until(() => all.every(({ position }) => position !== undefined))
      const starts = all.map(({ position }) => position!)

      const last = 1 + early + commands
      const write = Effect.forEach(Arr.range(early + 1, early + commands), (n) =>
        Effect.map(update(n), () => {
          if (answered < ahead) return
          ahead = answered + commands / 20
          for (const client of all) client.goOn()
        }), { concurrency: writers, discard: true })
      const moments = Arr.makeBy(kills, () => 1 + early + random(commands)).toSorted((one, other) => one - other)
      const kill = Effect.fnUntraced(function*(moment: number) {
        yield* until(() => answered >= moment)
        serving = yield* Deferred.make<string>()
        peaks.push(peakMemory(running.pid) ?? 0)
        yield* running.signal("SIGKILL")
        yield* running.ended
        running = yield* host(directory.path)
        yield* Deferred.succeed(serving, running.url)
      })
      yield* Effect.all([write, Effect.forEach(moments, kill)], { concurrency: 2 })
      for (const client of all) {
        client.waits = false
        client.goOn()
      }
      yield* until(() => all.every(({ position, problem }) => position === last || problem !== undefined))
      peaks.push(peakMemory(running.pid) ?? 0)

      expect(all.flatMap(({ problem }) => problem ?? [])).toEqual([])
      expect(all.map(({ position }) => position)).toEqual(all.map(() => last))
      const connections = all.reduce((sum, client) => sum + client.connections, 0)
      // A slow client may have noticed several ends at once.
      expect(connections).toBeGreaterThan(clients * Math.min(kills, 2))
      expect(all.some(({ connections, kind }) => kind === "reconnecting" && connections > kills + 1)).toBe(true)
      const peak = Math.max(...peaks)
      process.stderr.write(
        `${clients} clients received ${all.reduce((sum, _, n) => sum + last - starts[n]!, 0).toLocaleString("en")} ` +
          `activities over ${connections.toLocaleString("en")} connections; the host had at most ${
            peak.toFixed(0)
          } MiB\n`
      )
      // However much there is to send. The collector lets the texts on their way to many clients grow to this.
      expect(peak).toBeLessThan(300 + 2 * clients)
    }),
  LongRun.timeout(120_000)
)
