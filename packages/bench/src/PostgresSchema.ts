/** Schemas for measurements, on the PostgreSQL server that the environment names. */
import { Postgres } from "@caravel/sql"
import { Effect, Redacted, type Scope } from "effect"
import { createHash, randomUUID } from "node:crypto"
import process from "node:process"
import Pg from "pg"
import type { Part } from "./Message.js"
import * as Template from "./Template.js"

/** Only the environment may contain the URL: command lines are in reports, and a URL may contain a password. */
const variable = "CARAVEL_TEST_POSTGRES_URL"

const server = process.env[variable] || undefined

/** Why PostgreSQL cannot be measured, if it cannot. */
export const skipped: string | undefined = server === undefined ? `set ${variable}` : undefined

/** The URL with this schema as the search path. */
const urlOf = (schema: string): string => {
  const url = new URL(server ?? "")
  url.searchParams.set("options", `-c search_path=${schema}`)
  return url.href
}

/** Opens a connection that is closed with the scope. */
const connect = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new Pg.Client({ connectionString: url })
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

/** Executes statements, and returns the rows of the last one. */
export const execute = (
  url: string,
  ...statements: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Record<string, unknown>>> =>
  connect(url).pipe(
    Effect.flatMap((client) =>
      Effect.promise(async () => {
        let rows: ReadonlyArray<Record<string, unknown>> = []
        for (const statement of statements) rows = (await client.query(statement)).rows
        return rows
      })
    ),
    Effect.scoped
  )

/**
 * The prefix of a run's schema names. It differs between runs, so that concurrent runs do not drop one another's
 * schemas.
 */
const prefix = (directory: string) =>
  `caravel_bench_${createHash("sha256").update(directory).digest("hex").slice(0, 12)}_`

const drop = (schema: string) => execute(urlOf(schema), `DROP SCHEMA IF EXISTS ${schema} CASCADE`)

/** Drops the schemas that killed processes of the run in this directory have left behind. */
export const dropAll = (directory: string): Effect.Effect<void> =>
  execute(
    urlOf("public"),
    `SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, '${prefix(directory)}')`
  ).pipe(
    Effect.flatMap((rows) => Effect.forEach(rows, (row) => drop(String(Object.values(row)[0])), { discard: true }))
  )

/** Creates a schema with the tenants and `relays` relays, and returns its URL. It is dropped when the scope closes. */
export const temporary = (directory: string, relays: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.sync(() => `${prefix(directory)}${randomUUID().slice(0, 8)}`), drop).pipe(
    Effect.tap((schema) => execute(urlOf(schema), `CREATE SCHEMA ${schema}`)),
    Effect.tap((schema) =>
      Effect.orDie(Effect.provide(Template.creations(relays), Postgres.layer({ url: Redacted.make(urlOf(schema)) })))
    ),
    // As in a database that has been in use for a while.
    Effect.tap((schema) =>
      execute(urlOf(schema), "ANALYZE caravel_event, caravel_tenant, caravel_relay", "CREATE SEQUENCE arrived")
    ),
    Effect.map(urlOf)
  )

/**
 * The number of transactions that the database has ended. Backends report theirs once a second, so it lags; it also
 * counts those of other programs.
 */
export const transactions = (url: string): Effect.Effect<number> =>
  Effect.map(
    execute(
      url,
      "SELECT xact_commit + xact_rollback AS ended FROM pg_stat_database WHERE datname = current_database()"
    ),
    ([row]) => Number(Object.values(row ?? {})[0])
  )

/** Waits until all processes are ready. Each takes a number from the schema's sequence `arrived`. */
export const awaitOthers = ({ of, url }: Part): Effect.Effect<void> =>
  Effect.gen(function*() {
    const client = yield* connect(url)
    yield* Effect.promise(() => client.query("SELECT nextval('arrived')"))
    const arrived = Effect.promise(() => client.query("SELECT last_value FROM arrived")).pipe(
      Effect.map(({ rows: [row] }) => Number(row.last_value))
    )
    yield* Effect.repeat(Effect.delay(arrived, "2 millis"), { until: (count) => count >= of })
  }).pipe(Effect.scoped)
