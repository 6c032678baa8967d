/** Ending `caravel serve`: under load no request is lost, and nothing holds it up for ever. */
import { LongRun } from "@caravel/conformance"
import { Journal, Position } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Array as Arr, Effect, Random, Schema } from "effect"
import { randomUUID } from "node:crypto"
import { Agent } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { directory, host, send } from "../host.js"

const rounds = LongRun.count("CARAVEL_SHUTDOWNS", { usual: 2, long: 50 })
const clients = 64
const tenant = "ab".repeat(32)

const agent = Effect.acquireRelease(
  Effect.sync(() => new Agent({ keepAlive: true, maxSockets: clients })),
  (agent) => Effect.sync(() => agent.destroy())
)

const decodeAnswer = Schema.decodeSync(Schema.parseJson(Schema.Struct({ position: Schema.Number })))

it.scopedLive(
  `a host that is stopped ${rounds} times under the load of ${clients} clients answers or refuses each request`,
  () =>
    Effect.gen(function*() {
      const path = yield* directory
      /** The position of each relay whose creation was answered. */
      const answered = new Map<string, number>()
      /** The relay that a client creates next. What was refused is sent again to the next host, with the same key. */
      const next = Arr.makeBy(clients, () => randomUUID())
      let unavailable = 0

      for (let round = 0; round < rounds; round++) {
        const { ended, signal, url } = yield* host(path)
        const own = yield* agent
        if (round === 0) yield* send(url, own, "create-tenant", { pubkey: tenant }, "tenant")
        const stopAt = answered.size + (yield* Random.nextIntBetween(1, 600))

        const client = (n: number): Effect.Effect<void> =>
          Effect.flatMap(Effect.sync(() => next[n]!), (id) =>
            Effect.flatMap(send(url, own, "create-relay", { id, tenant, subdomain: id }, id), (outcome) => {
              if (outcome.error === "ECONNREFUSED") {
                return Effect.void
              }
              if (outcome.status === 503) {
                expect(outcome.retryAfter).toBe("1")
                unavailable++
                return Effect.void
              }
              // An error after the request was sent would leave the client in doubt.
              expect(outcome).toMatchObject({ status: 200 })
              answered.set(id, decodeAnswer(outcome.text!).position)
              next[n] = randomUUID()
              return Effect.zipRight(answered.size === stopAt ? signal("SIGTERM") : Effect.void, client(n))
            }))
        yield* Effect.all(Arr.makeBy(clients, client), { concurrency: "unbounded" })

        const { code, stderr } = yield* Effect.timeout(ended, "12 seconds")
        expect(code).toBe(0)
        // Refusals are logged as warnings.
        const unusual = stderr.split("\n").filter((line) =>
          /"(WARN|ERROR|FATAL)"|unexpected/.test(line)
        )
        expect(unusual.filter((line) => !line.includes("/v1/commands/create-relay 503"))).toEqual([])
      }

      expect(unavailable).toBeGreaterThan(0)
      const events = yield* Effect.provide(
        Effect.flatMap(Journal, (journal) => journal.read(Position.make(0), Number.MAX_SAFE_INTEGER)),
        Sqlite.layer({ filename: join(path, "db") })
      )
      const created = events.flatMap(({ _tag, position, resourceId }) =>
        _tag === "RelayCreated" ? [[resourceId, position] as const] : []
      )
      expect(created).toHaveLength(answered.size)
      expect(new Map(created)).toEqual(answered)
    }),
  LongRun.timeout(120_000)
)

/** A request whose body does not arrive, once the host waits for it. */
const unfinished = (url: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly closed: Promise<unknown>; readonly destroy: () => void }>((resume) => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1")
      const closed = new Promise((resolve) => socket.on("error", () => {}).on("close", resolve))
      socket.write(
        "POST /v1/commands/create-tenant HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
          "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
      )
      socket.once("data", (data) => {
        expect(String(data)).toMatch(/^HTTP\/1\.1 100 /)
        resume(Effect.succeed({ closed, destroy: () => socket.destroy() }))
      })
    }),
    ({ destroy }) => Effect.sync(destroy)
  )

/** Stops a host, and waits until it refuses requests. */
const stopping = ({ signal, url }: Effect.Effect.Success<ReturnType<typeof host>>) =>
  Effect.zipRight(
    signal("SIGTERM"),
    Effect.promise(async () => (await fetch(`${url}/healthz`)).status).pipe(
      Effect.repeat({ until: (status) => status === 503 })
    )
  )

it.scopedLive("a second signal ends a host at once", () =>
  Effect.gen(function*() {
    const running = yield* host(yield* directory)
    yield* unfinished(running.url)
    yield* stopping(running)
    // One that comes at once after the first, as npm sends it, is taken for the same.
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(nextTurn, running.signal("SIGTERM"))))
    // It would have waited for ten seconds.
    expect((yield* Effect.timeout(running.ended, "5 seconds")).code).toBe(143)
  }), 60_000)

it.scopedLive("signals that come together end a host as one does", () =>
  Effect.gen(function*() {
    const { ended, signal } = yield* host(yield* directory)
    // The system merges two equal ones that wait.
    yield* signal("SIGINT")
    yield* signal("SIGTERM")
    expect((yield* ended).code).toBe(0)
  }), 60_000)

// It waits for ten seconds.
if (LongRun.count("CARAVEL_UNFINISHED", { usual: 0, long: 1 }) > 0) {
  it.scopedLive(
    "a request that does not end delays the end of a host for at most ten seconds",
    () =>
      Effect.gen(function*() {
        const running = yield* host(yield* directory)
        const { closed } = yield* unfinished(running.url)
        yield* stopping(running)
        expect((yield* Effect.timeout(running.ended, "20 seconds")).code).toBe(0)
        yield* Effect.promise(() => closed)
      }),
    60_000
  )
}
