/** Opens a PostgreSQL database. */
import { type Epoch, StorageError } from "@caravel/domain"
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Duration, Effect, type Scope, Stream } from "effect"
import * as Database from "../database/Database.js"
import * as Opening from "../database/Opening.js"
import * as Migrations from "../schema/Migrations.js"
import * as Patience from "../statement/Patience.js"
import * as PostgresBounds from "./PostgresBounds.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { postgres } from "./PostgresDialect.js"
import * as PostgresOpening from "./PostgresOpening.js"
import type { Options } from "./PostgresOptions.js"
import * as PostgresPool from "./PostgresPool.js"
import * as PostgresPurge from "./PostgresPurge.js"
import * as PostgresTransaction from "./PostgresTransaction.js"
import * as PostgresUrl from "./PostgresUrl.js"

/** What errors call the database: its URL may hold a password. */
const name = "the database"

/** An open database, and what noticing other processes' commits needs of it. */
export interface Opened {
  readonly database: typeof Database.Database.Service
  readonly config: Config
  /** Whether a command of this process is being committed. */
  readonly isCommitting: () => boolean
}

/**
 * Opens the database and migrates it to the newest schema. Missing tables are created, unless the database is the
 * source of a copy or `create` is false. Fails if the database is an unfinished copy, unless it is the target of a
 * copy.
 */
export const open = (
  options: Options,
  purpose?: Database.Purpose
): Effect.Effect<Opened, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const { clockTolerance, create = true, idempotencyKeysKept, maxConnections, migrate = true, schema } = options
    if (maxConnections !== undefined && !(Number.isInteger(maxConnections) && maxConnections > 0)) {
      return yield* PostgresOpening.refuse(`maxConnections is ${maxConnections}`, "give it an integer of at least 1")
    }
    const secrets = yield* Opening.secretsOf(name, options)
    const config = yield* PostgresUrl.read(options)
    yield* PostgresOpening.check(config, schema)
    const pools = yield* PostgresTransaction.pools(config, options)
    const holdTimeout = Duration.decode(options.holdTimeout ?? PostgresBounds.defaultHoldTimeout)
    const holderBounds = PostgresBounds.holder(holdTimeout)
    let epoch: Epoch | undefined = undefined
    const settings = { epoch: () => epoch, holdTimeout, holderBounds, host: config.host }
    const client = yield* PostgresTransaction.make(pools, settings)
    // For migrations, whose COMMIT may take long. The epoch is read next on the same connection. To open another for
    // this would take longer than its statements.
    const { sql } = yield* PostgresTransaction.make(
      { ...pools, callers: PostgresPool.waiting(pools.own, { watched: "own", longestCommit: Infinity }) },
      settings
    )
    if (!create || !migrate || purpose === "source") {
      const isMade = yield* Effect.provideService(Migrations.isMadeIn(schema), SqlClient, sql)
      if (!isMade && (!create || purpose === "source")) {
        const hidden = yield* sql`SELECT 1 FROM pg_namespace
          WHERE nspname = ${schema ?? null} AND NOT has_schema_privilege(oid, 'USAGE')`
        return yield* hidden.length > 0 ? unusable(schema) : missing(schema)
      }
      if (isMade && !migrate) {
        yield* Effect.provideService(Migrations.mustBeUpToDate(`opening ${name}`, schema), SqlClient, sql)
      }
    }
    yield* Effect.provideService(Migrations.run(schema), SqlClient, sql)

    const reader = plainly(pools.own)
    epoch = yield* Opening.epochOf(reader, purpose)
    const snapshot = PostgresConnection.connect(config).pipe(
      Effect.tap((connection) => connection.executeRaw(PostgresBounds.beginSnapshot, []))
    )
    const database = Database.make({
      client,
      reader,
      snapshot,
      dialect: postgres,
      secrets,
      purge: PostgresPurge.make(config),
      holderBounds,
      idempotencyKeysKept,
      clockTolerance
    })
    return { database, config, isCommitting: pools.writer.isInUse }
  }).pipe(Opening.withStorageErrors(postgres, name), Opening.apart)

const unusable = (schema: string | undefined) =>
  new StorageError({
    reason: "readonly",
    operation: `opening ${name}`,
    cause: new Error(`the role may not use schema ${schema}`),
    advice: "grant it USAGE, and the rights that docs/postgresql.md names"
  })

const missing = (schema: string | undefined) =>
  Opening.missing(name, `the database has no Caravel tables${schema === undefined ? "" : ` in schema ${schema}`}`)

/** A connection that takes one from the pool for each statement. The statements only read, so they can be retried. */
const plainly = ({ scoped }: PostgresPool.Pool): Connection => {
  const run = <A>(use: (connection: Connection) => Effect.Effect<A, SqlError>) =>
    Effect.suspend(() => {
      const patience = Patience.make()
      return PostgresPool.again(Effect.scoped(Effect.flatMap(scoped(patience), use)), patience)
    })
  return {
    execute: (...parameters) => run((connection) => connection.execute(...parameters)),
    executeRaw: (...parameters) => run((connection) => connection.executeRaw(...parameters)),
    executeValues: (...parameters) => run((connection) => connection.executeValues(...parameters)),
    executeUnprepared: (...parameters) => run((connection) => connection.executeUnprepared(...parameters)),
    executeStream: () => Stream.dieMessage("Caravel streams no statements")
  }
}
