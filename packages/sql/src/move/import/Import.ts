/** Imports another Caravel-style database, as events that reproduce its rows and its activity log. */
import type { StorageError } from "@caravel/domain"
import { currentInstant, type Why } from "@caravel/domain/adapter"
import { Tail } from "@caravel/pubsub"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, type Either } from "effect"
import { Database } from "../../database/Database.js"
import * as Driver from "../../database/Driver.js"
import { toStorageError } from "../../database/StorageErrors.js"
import type { ImportRefusalRow, ImportRow } from "../../schema/ImportTables.js"
import type { Unreadable } from "../../schema/Tables.js"
import * as EventLoop from "../../statement/EventLoop.js"
import { run as runScript, type StatementScript } from "../../statement/StatementScript.js"
import type * as ImportSource from "./ImportSource.js"
import * as ImportWriter from "./ImportWriter.js"
import { UnusableSource } from "./UnusableSource.js"

export {
  /**
   * Why a file cannot be imported.
   *
   * @since 0.1.0
   * @category errors
   */
  UnusableSource
}

/**
 * A row that was refused, and why.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused extends Why {
  readonly table: "tenant" | "relay" | "activity"
  /** The row's key in the source. */
  readonly key: string
}

/**
 * The progress of an import.
 *
 * @since 0.1.0
 * @category models
 */
export interface Progress {
  /** How many activities, tenants and relays have been read, and how many there are. */
  readonly items: number
  readonly total: number
  /** How many of them have been imported. */
  readonly activities: number
  readonly tenants: number
  readonly relays: number
  readonly refused: number
  /** How many activities received a new id because theirs is not a UUID. */
  readonly renamed: number
  /** How many events have been appended. */
  readonly events: number
}

/**
 * The result of an import.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report extends Progress {
  /** Columns of the source that Caravel does not know, such as `relay.colour`. */
  readonly ignored: ReadonlyArray<string>
}

/**
 * What to import, and how.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  /** The SQLite file. It is never written. */
  readonly source: string
  /** Runs the whole import and then rolls it back. Other writers wait meanwhile. */
  readonly dryRun?: boolean | undefined
  /**
   * Called after each page with the progress and the rows refused since the last call. A run reports every refused row
   * once, including those of interrupted runs before it.
   */
  readonly onStep?: ((progress: Progress, refused: ReadonlyArray<Refused>) => Effect.Effect<void, E>) | undefined
}

/**
 * What an import writes to: a database of `Sqlite.layer` or `Postgres.layer`.
 *
 * @since 0.1.0
 * @category models
 */
export type Target = Database | Tail.Tail

/**
 * Imports another SQLite database with the tables `tenant`, `relay` and `activity`, and with times in Unix seconds, into
 * the database of `Sqlite.layer` or `Postgres.layer`. Its rows and its activity log are imported field for field and in
 * their order; Caravel assigns versions and positions.
 *
 * Each page is one transaction, which also records the progress. An interrupted import continues from there when you
 * run it again, and results in the same events. Refused rows are reported and recorded, and the import continues.
 *
 * @example
 * ```ts
 * import { Import, Sqlite } from "@caravel/sql"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const report = yield* Import.run({
 *     source: "./old.db",
 *     onStep: (_, refused) => Effect.forEach(refused, ({ key, reason, table }) => Console.log(table, key, reason))
 *   })
 *   yield* Console.log(`${report.activities} activities, ${report.refused} refused`)
 * }).pipe(Effect.catchTag("UnusableSource", ({ message }) => Console.log(message)))
 *
 * await Effect.runPromise(Effect.provide(program, Sqlite.layerTemporary))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <E = never>(
  { dryRun = false, onStep = () => Effect.void, source }: Options<E>
): Effect.Effect<Report, UnusableSource | StorageError | E, Target> =>
  Effect.gen(function*() {
    const all = importAll(yield* (yield* sources).open(source), onStep)
    return yield* dryRun ? undone(all) : all
  }).pipe(Effect.scoped)

const sources = Driver.loadSqlite(() => import("./ImportSource.js"))

type OnStep<E> = NonNullable<Options<E>["onStep"]>

/** Imports page by page, from where an earlier run stopped. */
const importAll = <E>(source: ImportSource.Source, onStep: OnStep<E>) =>
  Effect.gen(function*() {
    const { ignored, total } = source
    const tail = yield* Tail.Tail
    const { begin, write } = yield* ImportWriter.make(tail.seen)
    const startedAt = yield* currentInstant
    let { progress } = yield* commit(() => begin(source, startedAt))
    yield* recall(progress, total, onStep)
    const yieldToEventLoop = yield* EventLoop.make
    const nextPage = yield* source.pagesAfter(progress.items)
    while (progress.items < total) {
      const page = yield* nextPage
      const now = yield* currentInstant
      const before = progress
      const written = yield* commit(() => write(page, source, before, now))
      progress = written.progress
      yield* onStep(progressOf(progress, total), written.refused.map(refusedOf))
      yield* yieldToEventLoop
    }
    return { ...progressOf(progress, total), ignored }
  }).pipe(Effect.scoped)

/** Runs a script in a transaction, the caller's if there is one, and broadcasts the events that it recorded. */
const commit = <E extends Failure>(script: () => StatementScript<Either.Either<ImportWriter.Written, E>>) =>
  Effect.gen(function*() {
    const { commitSignal, currentTransaction, dialect, transactLong } = yield* Database
    const tail = yield* Tail.Tail
    const announce = (yield* currentTransaction) === undefined ? tail.broadcast : () => tail.advanceToHead
    return yield* transactLong(({ afterCommit, connection, written: ids }) =>
      Effect.map(Effect.flatten(runScript(connection, script())), (written) => {
        for (const { id } of written.recorded) ids.push(id)
        if (written.recorded.length > 0) {
          afterCommit.add(Effect.zipRight(announce(written.recorded), commitSignal.open))
        }
        return written
      })
    ).pipe(
      Effect.mapError((error: Failure | SqlError) =>
        error._tag === "UnusableSource" || error._tag === "StorageError"
          ? error
          : toStorageError(dialect, "import")(error)
      )
    )
  })

/** Reports the rows that an earlier run refused. */
const recall = <E>(row: ImportRow, total: number, onStep: OnStep<E>) =>
  Effect.gen(function*() {
    const { readInTransaction, tables: { importRefusal } } = yield* Database
    const refusals = `SELECT ${importRefusal.columns()} FROM caravel_import_refusal
      WHERE import = ? AND item > ? ORDER BY item LIMIT 512`
    for (let last = 0;;) {
      const page = yield* readInTransaction("import", refusals, [row.id, last], importRefusal.decode)
      yield* onStep(progressOf(row, total), page.map(refusedOf))
      if (page.length === 0) return
      last = page[page.length - 1]!.item
    }
  })

/** Runs an effect in a transaction, and then rolls the transaction back. */
const undone = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Database,
    ({ dialect, sql }) =>
      sql.withTransaction(Effect.flatMap(effect, (result) => Effect.fail(new Undone(result)))).pipe(
        Effect.catchAll((error) =>
          error instanceof Undone
            ? Effect.succeed(error.result)
            : Effect.fail(error instanceof SqlError ? toStorageError(dialect, "import")(error) : error)
        )
      )
  )

const progressOf = (
  { activities, events, items, refused, relays, renamed, tenants }: ImportRow,
  total: number
): Progress => ({ items, total, activities, tenants, relays, refused, renamed, events })

const refusedOf = ({ key, kind, reason, tableName: table }: ImportRefusalRow): Refused => ({ table, key, kind, reason })

type Failure = UnusableSource | StorageError | Unreadable

/** The failure that rolls back the transaction of a dry run. */
class Undone<A> {
  readonly result: A
  constructor(result: A) {
    this.result = result
  }
}
