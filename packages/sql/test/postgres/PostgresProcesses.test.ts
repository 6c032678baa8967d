/** Several processes on one PostgreSQL database, with failures of connections, of the server and of the network. */
import { LongRun } from "@caravel/conformance"
import { type Activity, ActivityFeed, Command, Journal, Position, Query } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Random, Redacted, type Scope, Stream } from "effect"
import { bundled, type Child, spawned } from "../fixtures/child.js"
import { type Machine, machines } from "../fixtures/machines.js"
import { hasPgBouncer, pgBouncer } from "../fixtures/pgbouncer.js"
import { inSchema, raw, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { ownServer } from "../fixtures/postgresServer.js"

/** How often something is killed. The duration grows with it. */
const rounds = LongRun.count("CARAVEL_KILLS", { usual: 4, long: 1000 })

const tenant = "a".repeat(64)

type WakeUps = NonNullable<Postgres.Options["wakeUps"]>

const open = (url: string, wakeUps: WakeUps = "listen") =>
  Layer.build(Layer.fresh(Postgres.layer({ url: Redacted.make(url), wakeUps })))

/** A database of this test that has relays with these ids. */
const world = (url: string, ids: ReadonlyArray<string>, wakeUps?: WakeUps) =>
  Effect.gen(function*() {
    const context = yield* open(url, wakeUps)
    const command = Context.get(context, Command)
    yield* command.createTenant({ pubkey: tenant })
    for (const id of ids) yield* command.createRelay({ id, tenant, subdomain: id })
    return context
  })

/** Collects a feed from the beginning, for as long as the test runs. */
const follow = (context: Context.Context<Postgres.Services>) =>
  Effect.gen(function*() {
    const seen: Array<Activity> = []
    let whenSeen = () => {}
    const from = (): Effect.Effect<void, never, Scope.Scope> =>
      Stream.runForEach(
        Context.get(context, ActivityFeed).since(seen.at(-1)?.position ?? 0),
        (activity) =>
          Effect.sync(() => {
            seen.push(activity)
            whenSeen()
          })
      ).pipe(
        // A feed that fails is run again from its last position.
        Effect.catchTag("StorageError", from),
        Effect.orDie
      )
    yield* Effect.fork(from())
    return {
      /** The activities seen so far, once a position is reached. */
      until: (position: number) =>
        Effect.async<ReadonlyArray<Activity>>((resume) => {
          const check = () => {
            if ((seen.at(-1)?.position ?? 0) >= position) resume(Effect.succeed(seen))
          }
          whenSeen = check
          check()
        })
    }
  })

const stop = (child: Child) =>
  Effect.gen(function*() {
    // A process that had ended before could not have sent all commands.
    expect([child.end, child.errors]).toEqual([null, ""])
    child.process.stdin!.end()
    yield* child.ended
    expect([child.end, child.errors]).toEqual([0, ""])
    return child.output.trim().split("\n").map((line) => line.split(" ") as [key: string, position: string, id: string])
  })

/**
 * Two processes send commands with keys, and repeat those that are not answered, while connections, the server or the
 * network are harmed. In the end nothing is lost or doubled.
 */
const underLoad = (
  url: string,
  harm: (children: ReadonlyArray<Child>) => Effect.Effect<unknown, never, Scope.Scope>,
  { machines = [{ run: [], url }, { run: [], url }], wakeUps = "listen" }: {
    readonly machines?: ReadonlyArray<Machine>
    readonly wakeUps?: WakeUps
  } = {}
) =>
  Effect.gen(function*() {
    const context = yield* world(url, ["shared"], wakeUps)
    const feed = yield* follow(context)
    const script = yield* bundled("./retrying.ts")
    const children = yield* Effect.forEach(machines, ({ run, url }, n) => spawned(script, [url, `p${n}`, wakeUps], run))
    for (const child of children) yield* child.writes(200)
    yield* harm(children)
    const written = children.map((child) => child.written)
    // Both processes continue by themselves.
    for (const [n, child] of children.entries()) yield* child.writes(written[n]! + 1000)
    const answers = (yield* Effect.forEach(children, stop)).flat()

    // The connections of this process were harmed too.
    const last = yield* Effect.retry(Context.get(context, Command).deactivateRelay({ id: "shared" }), { times: 5 })
    const activities = yield* Context.get(context, Query).activity()
    const byPosition = new Map(activities.map((activity) => [activity.position, activity]))
    for (const [key, position, id] of answers) {
      expect([key, byPosition.get(Position.make(Number(position)))?.id]).toEqual([key, id])
    }
    expect(new Set(answers.map(([, position]) => position)).size).toBe(answers.length)
    expect(activities.length).toBe(answers.length + 3)
    expect(activities.map(({ position }) => position)).toEqual(activities.map((_, index) => index + 1))
    expect((yield* feed.until(last.position)).map(({ id }) => id)).toEqual(activities.map(({ id }) => id))
    const drift = yield* Stream.runCollect(Context.get(context, Journal).verify)
    expect([...drift].flatMap(({ differences }) => differences)).toEqual([])
  })

withPostgres("PostgreSQL, from several processes", (url) => {
  it.scopedLive(
    "16 writers that pause and roll back, and 2 followers: positions are in commit order, and nothing is lost",
    () =>
      Effect.gen(function*() {
        const ids = ["p", "q", "r", "s"].flatMap((prefix) => [0, 1, 2, 3].map((n) => `${prefix}${n}`))
        // The test does not depend on durability.
        const own = inSchema(url, yield* temporarySchema(url), "-c synchronous_commit=off")
        const context = yield* world(own, ids)
        const followers = yield* Effect.all([follow(context), Effect.flatMap(open(own), follow)])
        const script = yield* bundled("./pausing.ts")
        const children = yield* Effect.forEach(
          ["p", "q", "r", "s"],
          (prefix) => spawned(script, [own, prefix, String(2 * rounds)])
        )
        const committed = yield* Effect.forEach(children, (child) =>
          Effect.map(child.ended, (): ReadonlyArray<number> => {
            expect(child.errors).toBe("")
            return JSON.parse(child.output)
          }), { concurrency: "unbounded" })
        const all = committed.flat().sort((a, b) =>
          a - b
        )
        // Positions are consecutive, after those of the tenant and the relays.
        expect(all).toEqual(Array.from({ length: 16 * 2 * rounds }, (_, index) =>
          index + 18))
        const activities = yield* Context.get(context, Query).activity()
        for (const follower of followers) {
          expect((yield* follower.until(all.at(-1)!)).map(({ id }) => id)).toEqual(activities.map(({ id }) => id))
        }
        expect(activities.map(({ position }) => position)).toEqual(activities.map((_, index) => index + 1))
      }),
    LongRun.timeout(600_000)
  )

  it.scopedLive("any connection may be ended at any time, including the listener's", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const own = inSchema(url, schema)
      const admin = yield* raw(url)
      yield* underLoad(own, (children) =>
        Effect.gen(function*() {
          for (let n = 0; n < rounds; n++) {
            // The connection is ended at a random point of its work.
            const child = children[n % children.length]!
            yield* child.writes(child.written + (yield* Random.nextIntBetween(0, 500)))
            yield* Effect.promise(() =>
              admin.query(
                `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 ORDER BY random() LIMIT 1`,
                [schema]
              )
            )
          }
        }))
    }), LongRun.timeout(600_000))

  it.scopedLive("the server may stop, gracefully or not, and start again", () =>
    Effect.gen(function*() {
      const server = yield* ownServer()
      yield* underLoad(server.url, ([child]) =>
        Effect.forEach(
          Array.from({ length: Math.ceil(rounds / 20) }),
          (_, n) =>
            Effect.zipRight(child!.writes(child!.written + 1000), server.restart(n % 2 === 0 ? "immediate" : "fast"))
        ))
    }), LongRun.timeout(600_000))

  it.scopedLive(
    "a machine that is cut off does not block others for long, and continues when it is back",
    () =>
      Effect.gen(function*() {
        const network = yield* machines
        yield* underLoad(network.url, ([cutOff, other]) =>
          Effect.gen(function*() {
            for (let n = 0; n < Math.ceil(rounds / 100); n++) {
              yield* network.cut
              // The machine may have held the lock. The server releases that after ten seconds.
              yield* other!.writes(other!.written + 1000)
              yield* network.heal
              yield* cutOff!.writes(cutOff!.written + 1000)
            }
          }), { machines: network.machines })
      }),
    LongRun.timeout(600_000)
  )

  if (!hasPgBouncer) {
    it.skip("skipped: pgbouncer is not installed", () => {})
    return
  }

  const modes = [
    { mode: "session", wakeUps: "listen" },
    { mode: "transaction", wakeUps: "poll" },
    // Each lost wake-up, and each statement that another connection has prepared, costs a retry.
    { mode: "transaction", wakeUps: "listen" }
  ] as const
  for (const { mode, wakeUps } of modes) {
    it.scopedLive(
      `PgBouncer in ${mode} mode, with wake-ups by ${wakeUps}, may end connections, and be killed and started again`,
      () =>
        Effect.gen(function*() {
          const server = yield* ownServer()
          const pooler = yield* pgBouncer(
            server.url,
            `pool_mode = ${mode}`,
            // Three processes have 19 connections each. In transaction mode all share fewer than one of them needs.
            `default_pool_size = ${mode === "session" ? 60 : 5}`,
            "server_lifetime = 1"
          )
          yield* underLoad(pooler.url, ([child]) =>
            Effect.forEach(
              Array.from({ length: rounds }),
              () => Effect.zipRight(child!.writes(child!.written + 500), pooler.restart)
            ), { wakeUps })
        }),
      LongRun.timeout(600_000)
    )
  }
})
