/** Writes a copy: each page of events in a transaction, and everything else in the last transaction. */
import type { Position, StorageError, Verification } from "@caravel/domain"
import { storableText } from "@caravel/domain/adapter"
import { ConsumerStore } from "@caravel/pubsub"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, ParseResult, Stream } from "effect"
import { Database } from "../../database/Database.js"
import { toStorageError } from "../../database/StorageErrors.js"
import type { Transaction } from "../../database/TransactionScope.js"
import * as ProjectionRepair from "../../maintain/ProjectionRepair.js"
import * as SqlVerification from "../../maintain/SqlVerification.js"
import { execute, run } from "../../statement/StatementScript.js"
import { chunked, repeat, type Statement } from "../../statement/Table.js"
import { mustBeSound } from "../MustBeSound.js"
import { lastPosition, mustBeAt, mustBePrefix, mustEqual, type NotACopy, unsound } from "./CopyChecks.js"
import * as CopySource from "./CopySource.js"

/**
 * Called with the progress of a copy, in events: while they are copied, folded into the target's rows, and verified.
 */
export type OnStep = (step: "copying" | "projecting" | "verifying", done: number, total: number) => void

/** A database that copies are written to. */
export interface CopyTarget {
  /**
   * Copies the source page by page, or continues an earlier copy. Returns the verification, and the position that it
   * continued from.
   */
  readonly complete: (
    source: CopySource.Source,
    onStep: OnStep
  ) => Effect.Effect<{ readonly before: Position; readonly verified: Verification }, NotACopy | StorageError>
  /** Replaces the database's contents with the source's in one transaction, which begins with `empty`. */
  readonly replace: <E>(
    source: CopySource.Source,
    empty: (connection: Connection, head: Position) => Effect.Effect<void, E | SqlError>,
    onStep: OnStep
  ) => Effect.Effect<Verification, E | StorageError>
}

/** Writes copies into a database. */
export const make = (database: typeof Database.Service, operation = "copy"): CopyTarget => {
  const transaction = <A, E>(
    use: (transaction: Transaction) => Effect.Effect<A, E | SqlError | ParseResult.ParseError, Database>
  ) =>
    database.transactLong((transaction) => Effect.zipRight(lock(transaction.connection), use(transaction))).pipe(
      Effect.catchIf(isOfDatabase, (error) => Effect.fail(toStorageError(database.dialect, operation)(error))),
      Effect.provideService(Database, database)
    )

  return {
    complete: (source, onStep) =>
      Effect.gen(function*() {
        const before = yield* transaction(({ connection }) =>
          Effect.gen(function*() {
            const head = yield* lastPosition(connection)
            yield* mustBePrefix(connection, head, source)
            yield* begin(connection, source, head)
            return head
          })
        )
        onStep("copying", before, source.head)
        let head: number = before
        yield* Stream.runForEach(source.pages(CopySource.events, [before]), (page) =>
          transaction(({ connection, written }) =>
            Effect.gen(function*() {
              yield* mustBeAt(connection, head)
              yield* append(connection, page)
              const last = page.at(-1)
              if (last === undefined) {
                return head
              }
              written.push(String(last["id"]))
              return Number(last["position"])
            })
          ).pipe(Effect.map((last) => {
            head = last
            onStep("copying", head, source.head)
          })))
        const verified = yield* transaction(({ connection }) =>
          Effect.zipRight(mustBeAt(connection, head), finish(connection, operation, source, onStep))
        )
        return { before, verified }
      }),

    replace: (source, empty, onStep) =>
      transaction(({ connection }) =>
        Effect.gen(function*() {
          yield* empty(connection, yield* lastPosition(connection))
          yield* begin(connection, source, 0)
          let head = 0
          yield* Stream.runForEach(source.pages(CopySource.events), (page) =>
            Effect.map(append(connection, page), () => {
              head += page.length
              onStep("copying", head, source.head)
            }))
          return yield* finish(connection, operation, source, onStep)
        })
      )
  }
}

const isOfDatabase = (error: unknown): error is SqlError | ParseResult.ParseError =>
  error instanceof SqlError || ParseResult.isParseError(error)

/** Makes other writers wait, and processes that open the database. */
const lock = (connection: Connection) =>
  Effect.flatMap(
    Database,
    ({ dialect: { appendLock, epochLock } }) => run(connection, execute([...epochLock, ...appendLock]))
  )

/** Copies the source's epochs with negative numbers, which mark the copy as unfinished. */
const begin = (connection: Connection, source: CopySource.Source, head: number) =>
  Effect.gen(function*() {
    const { dialect } = yield* Database
    yield* connection.execute(dialect.deferForeignKeys, [], undefined)
    const epochs = source.epochs.map((row) => ({ ...row, number: -Number(row["number"]) }))
    yield* run(
      connection,
      execute([
        ...(head === 0 ? clear : []),
        ["DELETE FROM caravel_epoch", []],
        ...insert("caravel_epoch", epochs)
      ])
    )
  })

const append = (connection: Connection, page: ReadonlyArray<CopySource.Row>) =>
  run(connection, execute(insert(CopySource.events.name, page)))

/** Writes everything beside the journal, verifies the copy, and marks it as finished. */
const finish = (connection: Connection, operation: string, source: CopySource.Source, onStep: OnStep) =>
  Effect.gen(function*() {
    const { dialect } = yield* Database
    const verification = yield* SqlVerification.make
    const repair = (yield* ProjectionRepair.make)(connection, operation)
    yield* connection.execute(dialect.deferForeignKeys, [], undefined)
    yield* copyAuxiliaryTables(connection, source)
    yield* Stream.runForEach(
      verification(connection, operation, repair),
      ({ events, head }) => Effect.sync(() => onStep("projecting", events, head))
    )
    const last = yield* mustBeSound(
      verification(connection, operation),
      (...far) => onStep("verifying", ...far),
      ({ resourceId, resourceType }) =>
        unsound("copy", `the source's journal is not sound, first at ${resourceType} ${resourceId}`)
    )
    yield* mustEqual(source, last)
    yield* connection.execute("UPDATE caravel_epoch SET number = -number", [], undefined)
    return last
  })

/** Replaces the rows of the tables beside the journal. */
const copyAuxiliaryTables = (connection: Connection, source: CopySource.Source) =>
  Effect.gen(function*() {
    yield* run(connection, execute(clear))
    for (const table of CopySource.auxiliaryTables) {
      yield* Stream.runForEach(source.pages(table), (page) => run(connection, execute(insert(table.name, page))))
    }
    for (const task of ConsumerStore.Task.literals) yield* connection.execute(freeLeases, [task], undefined)
  })

const clear = CopySource.auxiliaryNames.toReversed().map((name): Statement => [`DELETE FROM ${name}`, []])

/** Leases are not copied: consumers start without an owner. */
const freeLeases =
  "INSERT INTO caravel_lease (consumer, task, fence, heartbeat) SELECT name, ?, 0, 0 FROM caravel_consumer"

/** Columns with error messages of handlers. In SQLite they may hold characters that PostgreSQL cannot store. */
const diagnostics = new Set(["caravel_consumer last_error", "caravel_parked error"])

const valueFor = (table: string, column: string, value: unknown) =>
  typeof value === "string" && diagnostics.has(`${table} ${column}`) ? storableText(value) : value

/** Statements that insert rows, with the columns of the first row. */
const insert = (name: string, rows: ReadonlyArray<CopySource.Row>): ReadonlyArray<Statement> => {
  const columns = Object.keys(rows[0] ?? {})
  const row = `(${repeat("?", columns.length)})`
  return chunked<CopySource.Row>(
    (size) => `INSERT INTO ${name} (${columns.join(", ")}) VALUES ${repeat(row, size)}`,
    (rows) => rows.flatMap((row) => columns.map((column) => valueFor(name, column, row[column])))
  )(rows)
}
