/** The contract behind PgBouncer, whose server connections are fewer than Caravel's. A part of the long run only. */
import {
  ClockTest,
  CommandTest,
  ConsumerTest,
  FeedTest,
  JournalTest,
  LongRun,
  PropertyTest,
  QueryTest
} from "@caravel/conformance"
import { Postgres } from "@caravel/sql"
import { afterAll, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted, Scope } from "effect"
import { hasPgBouncer, pgBouncer } from "../fixtures/pgbouncer.js"
import { statements } from "../fixtures/postgres.js"
import { hasServer, ownServer } from "../fixtures/postgresServer.js"

const modes = [
  { mode: "session", connections: 40, wakeUps: "listen" },
  { mode: "transaction", connections: 4, wakeUps: "poll" }
] as const

const named = (url: string, database: string) => {
  const other = new URL(url)
  other.pathname = `/${database}`
  return Redacted.make(other.href)
}

/** PgBouncer in front of a server with a migrated database, which those of tests are copies of. */
const pooled = (mode: string, connections: number) =>
  Effect.gen(function*() {
    const { url } = yield* ownServer()
    const pooler = yield* pgBouncer(url, `pool_mode = ${mode}`, `default_pool_size = ${connections}`)
    yield* statements(url, "CREATE DATABASE template")
    yield* Effect.scoped(Layer.build(Postgres.layer({ url: named(url, "template") })))
    return { direct: url, pooled: pooler.url }
  })

const isRun = hasServer && hasPgBouncer && LongRun.count("CARAVEL_POOLED_SUITES", { usual: 0, long: 1 }) > 0

for (const { connections, mode, wakeUps } of isRun ? modes : []) {
  const name = `PgBouncer in ${mode} mode`
  describe(name, () => {
    const scope = Effect.runSync(Scope.make())
    let urls = { direct: "", pooled: "" }
    let count = 0
    beforeAll(async () => {
      urls = await Effect.runPromise(Scope.extend(pooled(mode, connections), scope))
    }, 60_000)
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    const layer = Layer.unwrapScoped(Effect.gen(function*() {
      const database = `test${count++}`
      yield* Effect.acquireRelease(
        statements(urls.direct, `CREATE DATABASE ${database} TEMPLATE template`),
        () => statements(urls.direct, `DROP DATABASE ${database} WITH (FORCE)`)
      )
      return Postgres.layer({ url: named(urls.pooled, database), wakeUps })
    }))
    ClockTest.suite(name, layer)
    CommandTest.suite(name, layer)
    QueryTest.suite(name, layer)
    JournalTest.suite(name, layer)
    ConsumerTest.suite(name, layer)
    FeedTest.suite(name, layer)
    PropertyTest.suite(name, layer, { runs: 5 })
  })
}

if (!isRun) {
  it.skip("skipped: a part of the long run, where pgbouncer is installed", () => {})
}
