/** Opens an SQLite file: one connection writes and is lent to one transaction or statement at a time, and one reads. */
import { type StorageError } from "@caravel/domain"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, type Scope } from "effect"
import { access } from "node:fs/promises"
import { resolve } from "node:path"
import * as Database from "../database/Database.js"
import * as Opening from "../database/Opening.js"
import * as Epochs from "../schema/Epochs.js"
import * as Migrations from "../schema/Migrations.js"
import * as Patience from "../statement/Patience.js"
import { mustBePath, prepare } from "./DatabaseFile.js"
import { check } from "./IntegrityCheck.js"
import * as SqliteConnection from "./SqliteConnection.js"
import { sqlite } from "./SqliteDialect.js"
import { SqliteFiles } from "./SqliteFiles.js"
import * as SqlitePurge from "./SqlitePurge.js"
import * as SqliteTransaction from "./SqliteTransaction.js"

/** The database file, and how durable its commits are. */
export interface Options extends Opening.Options {
  /** The database file. Missing parent directories are created. */
  readonly filename: string
  /** Whether a missing database is created; true by default. Otherwise opening it fails with reason `missing`. */
  readonly create?: boolean | undefined
  /**
   * `full`, the default: an acknowledged command survives power loss. `normal`: it survives a crash of the process, but
   * power loss may lose the last commands; this is several times faster.
   */
  readonly synchronous?: "full" | "normal" | undefined
}

/**
 * Opens the file and migrates it to the newest schema. The database is created if there is none, unless it is the
 * source of a copy or `create` is false. Fails if the database is an unfinished copy, unless it is the target of a
 * copy.
 */
export const open = (
  options: Options,
  purpose?: Database.Purpose
): Effect.Effect<
  typeof Database.Database.Service,
  StorageError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { clockTolerance, create = true, filename, idempotencyKeysKept, migrate = true, synchronous = "full" } =
      options
    yield* mustBePath(filename)
    const secrets = yield* Opening.secretsOf(filename, options)
    const mayCreate = create && purpose !== "source"
    if (!mayCreate) yield* mustExist(filename)
    yield* prepare(filename)

    const writer = yield* SqliteConnection.make(filename, () => files.check())
    const files = yield* Effect.try({
      try: () => new SqliteFiles(filename),
      catch: (cause) => new SqlError({ cause, message: `Failed to open ${filename}` })
    })
    // Checked before anything is written: the file may be another program's.
    const { sql } = yield* SqliteTransaction.make(writer)
    const isMade = yield* Effect.provideService(Migrations.isMade, SqlClient, sql)
    if (!isMade && !mayCreate) return yield* Opening.missing(filename, `${filename} is not a Caravel database`)
    if (isMade && !migrate) {
      yield* Effect.provideService(Migrations.mustBeUpToDate(`opening ${filename}`), SqlClient, sql)
    }
    // During opening, the driver may block while another process migrates. Later, transactions wait without blocking.
    const patience = Patience.make()
    yield* pragmas(writer, patience, [
      "busy_timeout = 5000",
      // A source is not changed, not even the header of a backup.
      ...(purpose === "source" ? [] : ["journal_mode = WAL"]),
      `synchronous = ${synchronous}`,
      "foreign_keys = ON",
      // Otherwise INSERT OR REPLACE would bypass the triggers that forbid deleting events.
      "recursive_triggers = ON",
      // It costs nothing measurable, and SqlitePurge only has to remove what SQLite copies between pages.
      "secure_delete = ON"
    ])
    if (yield* usesLog(writer, patience)) files.includeLog()
    yield* Effect.provideService(Migrations.run(), SqlClient, sql)
    if (!isMade) yield* writer.execute(SqlitePurge.recordOverwritten, [], undefined)
    const epoch = yield* Opening.epochOf(writer, purpose)
    const client = yield* SqliteTransaction.make(
      writer,
      epoch === undefined ? undefined : () => Epochs.unchanged(epoch)
    )
    // A page that changes often is written to the file once for 16 MiB of log: a fifth faster than once for 4 MiB.
    yield* pragmas(writer, patience, [
      "busy_timeout = 0",
      "wal_autocheckpoint = 4000",
      `journal_size_limit = ${longestIdleLog}`
    ])

    // The program may change its working directory.
    const absolute = resolve(filename)
    const anotherReader = Effect.provide(
      Effect.flatMap(connect({ filename: absolute, readonly: true, disableWAL: true }), ({ reserve }) => reserve),
      Reactivity.layer
    )
    const reader = yield* anotherReader
    const snapshot = Effect.tap(anotherReader, (connection) => connection.execute("BEGIN", [], undefined))
    return Database.make({
      client,
      reader,
      intact: intact(files, reader, anotherReader),
      snapshot,
      dialect: sqlite,
      secrets,
      purge: SqlitePurge.make(absolute),
      integrity: check(absolute, mostDamages),
      idempotencyKeysKept,
      clockTolerance
    })
  }).pipe(Opening.withStorageErrors(sqlite, options.filename), Opening.apart)

/** While another program reads, the log grows. Once it has ended, SQLite cuts the log to this number of bytes. */
const longestIdleLog = 64 * 1024 * 1024

/** Other faults of a file are found when it is opened. */
const mustExist = (filename: string) =>
  Effect.flatMap(
    Effect.promise(() =>
      access(filename).then(() => false, ({ code }: NodeJS.ErrnoException) => code === "ENOENT" || code === "ENOTDIR")
    ),
    (isMissing) => isMissing ? Opening.missing(filename, `there is no file ${filename}`) : Effect.void
  )

/** The maximum number of integrity check findings that a verification reports. */
const mostDamages = 100

/** Fails if a file was removed, replaced or truncated while it was open. */
const intact = (
  files: SqliteFiles,
  reader: Connection,
  anotherReader: Effect.Effect<Connection, SqlError, Scope.Scope>
): Effect.Effect<void, SqlError> => {
  const number = (pragma: string, column = 0) =>
    Effect.map(reader.executeValues(`PRAGMA ${pragma}`, []), ([row]) => Number(row?.[column]))
  // Only at its first statement, a connection tells a call that failed, which may pass, from a file that is damaged.
  const isDamaged = Effect.scoped(
    Effect.flatMap(anotherReader, (connection) => connection.executeValues("SELECT 1 FROM caravel_event LIMIT 0", []))
  ).pipe(
    Effect.as(false),
    Effect.catchIf(isCorrupt, () => Effect.succeed(true))
  )
  // This checkpoint copies nothing, and returns the length of the log.
  const isTruncated = Effect.all({
    frames: number("wal_checkpoint(NOOP)", 1),
    checkpointed: number("wal_checkpoint(NOOP)", 2),
    pages: number("page_count"),
    pageSize: number("page_size")
  }).pipe(
    Effect.map((extent) => files.isTruncated(extent)),
    Effect.catchIf(isCorrupt, () => isDamaged)
  )
  return Effect.suspend(() => {
    const lost = files.look()
    if (lost !== undefined) return Effect.fail(lost)
    // Another process may make SQLite truncate a file during one of these attempts, but hardly during all three.
    return Effect.reduce([1, 2, 3], true, (truncated) => truncated ? isTruncated : Effect.succeed(false)).pipe(
      Effect.flatMap((truncated) =>
        truncated ? Effect.fail(files.lose("a file was truncated or overwritten")) : Effect.void
      )
    )
  })
}

const isCorrupt = ({ cause }: SqlError) => sqlite.reasonOf(cause) === "corrupt"

/** The driver throws when it cannot open the file. */
const connect = (config: SqliteClient.SqliteClientConfig) =>
  Effect.catchAllDefect(SqliteClient.make(config), (cause) => new SqlError({ cause }))

/** SQLite does not always wait when several connections switch a file to WAL mode at once. */
const pragmas = (connection: Connection, patience: Patience.Patience, settings: ReadonlyArray<string>) =>
  Effect.forEach(
    settings,
    (setting) => SqliteTransaction.retryWhileBusy(connection.execute(`PRAGMA ${setting}`, [], undefined), patience),
    { discard: true }
  )

/** Reads, and returns whether the connection is in WAL mode: from now on, it keeps others from removing the log. */
const usesLog = (connection: Connection, patience: Patience.Patience) =>
  SqliteTransaction.retryWhileBusy(connection.executeValues("PRAGMA schema_version", []), patience).pipe(
    Effect.zipRight(connection.executeValues("PRAGMA journal_mode", [])),
    Effect.map(([row]) => row?.[0] === "wal")
  )
