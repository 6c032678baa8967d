/** The storages of a soak. */
import { PostgresSchema } from "@caravel/bench"
import { type Backup, Postgres, Sqlite } from "@caravel/sql"
import SqliteDatabase from "better-sqlite3"
import { Effect, Redacted, type Scope } from "effect"
import { join } from "node:path"
import Pg from "pg"
import * as Schema from "../postgres/Schema.js"

/** A storage of a soak. */
export interface Storage {
  /** The program on the same database: its arguments, and its variables. */
  readonly child: { readonly arguments: ReadonlyArray<string>; readonly variables: { readonly [name: string]: string } }
  readonly layer: ReturnType<typeof Sqlite.layer>
  readonly place: Backup.Place
  /** The write-ahead log of a file; on PostgreSQL it is the server's. */
  readonly log: string
  /** How many connections the server has. */
  readonly connections: Effect.Effect<number>
  /** The size of the tables that have as many rows late as early, in MiB. */
  readonly size: Effect.Effect<number>
  /** Reads in one transaction until the effect has ended. */
  readonly reading: (effect: Effect.Effect<void>) => Effect.Effect<void>
}

/** The variable that contains the URL, which may contain a password. */
export const variable = "CARAVEL_SOAK_POSTGRES_URL"

/** A file in a directory. */
export const sqlite = (directory: string): Storage => {
  const filename = join(directory, "soak.db")
  return {
    child: { arguments: [filename], variables: {} },
    layer: Sqlite.layer({ filename }),
    place: filename,
    log: `${filename}-wal`,
    connections: Effect.succeed(0),
    size: Effect.succeed(0),
    reading: (effect) =>
      Effect.acquireUseRelease(
        Effect.sync(() => new SqliteDatabase(filename, { readonly: true })),
        (database) => {
          database.exec("BEGIN; SELECT count(*) FROM caravel_relay")
          return effect
        },
        (database) => Effect.sync(() => database.close())
      )
  }
}

/** A schema, which is dropped with the scope. */
export const postgres: Effect.Effect<Storage, never, Scope.Scope> = Effect.map(Schema.temporary, (url) => {
  const options = { url: Redacted.make(url) }
  const name = new URL(url).searchParams.get("application_name") ?? ""
  const number = (statement: string) =>
    Effect.map(PostgresSchema.execute(url, statement), ([row]) => Number(Object.values(row ?? {})[0]))
  return {
    child: { arguments: [], variables: { [variable]: url } },
    layer: Postgres.layer(options),
    place: options,
    log: "",
    // Without the one that counts.
    connections: number(`SELECT count(*) - 1 FROM pg_stat_activity WHERE application_name = '${name}'`),
    size: number(
      `SELECT sum(pg_total_relation_size(oid)) / 1048576 FROM pg_class
      WHERE relkind = 'r' AND relnamespace = '${name}'::regnamespace AND relname NOT IN ('caravel_event', 'handled')`
    ),
    reading: (effect) =>
      Effect.acquireUseRelease(
        Effect.promise(async () => {
          // An error is the answer of the statement that it fails.
          const client = new Pg.Client({ connectionString: url }).on("error", () => {})
          await client.connect()
          // One snapshot, which the server keeps rows for.
          await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
          await client.query("SELECT count(*) FROM caravel_relay")
          return client
        }),
        () => effect,
        (client) => Effect.promise(() => client.end())
      )
  }
})
