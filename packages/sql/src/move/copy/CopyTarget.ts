/** Writes a copy: each page of events in a transaction, and everything else in the last transaction. */
import { Position, StorageError, type Verification } from "@caravel/domain"
import { storableText } from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Option, Schema, Stream } from "effect"
import { Database } from "../../database/Database.js"
import { toStorageError } from "../../database/StorageErrors.js"
import type { Transaction } from "../../database/TransactionScope.js"
import * as ProjectionRepair from "../../maintain/ProjectionRepair.js"
import * as SqlVerification from "../../maintain/SqlVerification.js"
import * as Epochs from "../../schema/Epochs.js"
import { execute, run } from "../../statement/StatementScript.js"
import { chunked, repeat, type Statement } from "../../statement/Table.js"
import * as CopySource from "./CopySource.js"

/** The target's journal is not the beginning of the source's journal. Name an empty database. */
export class NotACopy extends Schema.TaggedError<NotACopy>("@caravel/sql/NotACopy")("NotACopy", {
  reason: Schema.Literal("same", "epoch", "ahead", "event"),
  /** The target's last position. */
  position: Position
}) {
  override get message() {
    switch (this.reason) {
      case "same":
        return "the source and the target are the same database"
      case "epoch":
        return `the target holds another journal, up to position ${this.position}: name an empty one`
      case "ahead":
        return `the target has been written to: its journal ends at position ${this.position}, after the source's journal`
      case "event":
        return `the target has been written to, or the source restored: they differ at position ${this.position}`
    }
  }
}

/**
 * Called with the progress of a copy, in events: while they are copied, folded into the target's rows, and verified.
 */
export type OnStep = (step: "copying" | "projecting" | "verifying", done: number, total: number) => void

const clear: ReadonlyArray<Statement> = [
  "caravel_lease",
  "caravel_parked",
  "caravel_consumer",
  "caravel_import_refusal",
  "caravel_import",
  "caravel_idempotency",
  "caravel_secret"
]
  .map((name) => [`DELETE FROM ${name}`, [], 0])

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

/** Writes copies into a database. */
export const make = (database: typeof Database.Service, operation = "copy") =>
  Effect.gen(function*() {
    const { dialect, transactLong } = database
    const verification = yield* SqlVerification.make
    const makeRepair = yield* ProjectionRepair.make

    const transaction = <A, E>(use: (transaction: Transaction) => Effect.Effect<A, E | SqlError>) =>
      transactLong((transaction) => {
        const locks = [dialect.epochLock, dialect.appendLock].filter((lock) => lock !== undefined)
        return Effect.zipRight(
          Effect.forEach(locks, (lock) => transaction.connection.execute(lock, [], undefined)),
          use(transaction)
        )
      }).pipe(Effect.catchIf(isSqlError, (error) => Effect.fail(toStorageError(dialect, operation)(error))))

    const headOf = (connection: Connection) =>
      Effect.map(CopySource.valueOf(connection, dialect.lastPosition), (head) => Position.make(Number(head)))

    /** Fails if another process has written to the unfinished copy since. */
    const mustBeAt = (head: number, connection: Connection) =>
      Effect.gen(function*() {
        const isWhole = (yield* connection.executeValues(Epochs.currentEpoch, [])).length > 0
        if (isWhole || (yield* headOf(connection)) !== head) return yield* overtaken
      })

    const mustBePrefix = (head: Position, connection: Connection, source: CopySource.Source) =>
      Effect.gen(function*() {
        if ((yield* CopySource.valueOf(connection, dialect.identity)) === source.identity) {
          return yield* new NotACopy({ reason: "same", position: head })
        }
        if (head === 0) return
        const epochs = yield* connection.executeValues("SELECT epoch FROM caravel_epoch ORDER BY abs(number)", [])
        if (!epochs.every(([epoch], n) => epoch === source.epochs[n]?.["epoch"])) {
          return yield* new NotACopy({ reason: "epoch", position: head })
        }
        if (head > source.head) return yield* new NotACopy({ reason: "ahead", position: head })
        if ((yield* CopySource.valueOf(connection, CopySource.eventAt, [head])) !== (yield* source.eventAt(head))) {
          return yield* new NotACopy({ reason: "event", position: head })
        }
      })

    /** Fails if the folded journal has other numbers of rows than the source. */
    const mustEqual = (source: CopySource.Source, verified: Verification) =>
      Effect.gen(function*() {
        const { events, head, relays, secrets, tenants } = verified
        const expected = [source.head, source.head, source.tenants, source.relays, source.secrets]
        if ([head, events, tenants, relays, secrets].some((count, n) => count !== expected[n])) {
          return yield* corrupt("the source's rows differ from its journal")
        }
        return verified
      })

    /** Copies the source's epochs with negative numbers, which mark the copy as unfinished. */
    const begin = (connection: Connection, source: CopySource.Source, head: number) =>
      Effect.gen(function*() {
        yield* connection.execute(dialect.deferForeignKeys, [], undefined)
        const epochs = source.epochs.map((row) => ({ ...row, number: -Number(row["number"]) }))
        yield* run(
          connection,
          execute([
            ...(head === 0 ? clear : []),
            ["DELETE FROM caravel_epoch", [], 0],
            ...insert("caravel_epoch", epochs)
          ])
        )
      })

    /** Writes everything beside the journal, verifies the copy, and marks it as finished. */
    const finish = (connection: Connection, source: CopySource.Source, onStep: OnStep) =>
      Effect.gen(function*() {
        yield* connection.execute(dialect.deferForeignKeys, [], undefined)
        yield* run(connection, execute(clear))
        for (const table of CopySource.beside) {
          yield* Stream.runForEach(
            source.pages(table),
            (page) => run(connection, execute(insert(table.name, page)))
          )
        }
        for (const task of ["run", "replay"]) yield* connection.execute(freeLeases, [task], undefined)
        yield* Stream.runForEach(
          verification(connection, operation, makeRepair(connection, operation)),
          ({ events, head }) => Effect.sync(() => onStep("projecting", events, head))
        )
        const last = yield* Stream.runFoldEffect(
          verification(connection, operation),
          Option.none<Verification>(),
          (_, step) => {
            onStep("verifying", step.events, step.head)
            const [drift] = step.differences
            return drift === undefined
              ? Effect.succeedSome(step)
              : corrupt(`the source's journal is not sound, first at ${drift.resourceType} ${drift.resourceId}`)
          }
        )
        const verified = yield* mustEqual(source, Option.getOrThrow(last))
        yield* connection.execute("UPDATE caravel_epoch SET number = -number", [], undefined)
        return verified
      })

    const append = (connection: Connection, page: ReadonlyArray<CopySource.Row>) =>
      run(connection, execute(insert(CopySource.events.name, page)))

    return {
      /**
       * Copies the source page by page, or continues an earlier copy. Returns the verification, and the position that
       * it continued from.
       */
      complete: (source: CopySource.Source, onStep: OnStep) =>
        Effect.gen(function*() {
          const before = yield* transaction(({ connection }) =>
            Effect.gen(function*() {
              const head = yield* headOf(connection)
              yield* mustBePrefix(head, connection, source)
              yield* begin(connection, source, head)
              return head
            })
          )
          onStep("copying", before, source.head)
          let head: number = before
          yield* Stream.runForEach(source.pages(CopySource.events, [before]), (page) =>
            transaction(({ connection, written }) =>
              Effect.gen(function*() {
                yield* mustBeAt(head, connection)
                yield* append(connection, page)
                const last = page.at(-1)
                if (last === undefined) return head
                written.push(String(last["id"]))
                return Number(last["position"])
              })
            ).pipe(Effect.map((last) => {
              head = last
              onStep("copying", head, source.head)
            })))
          const verified = yield* transaction(({ connection }) =>
            Effect.zipRight(mustBeAt(head, connection), finish(connection, source, onStep))
          )
          return { before, verified }
        }),

      /** Replaces the database's contents with the source's in one transaction, which begins with `empty`. */
      replace: <E>(
        source: CopySource.Source,
        empty: (connection: Connection, head: Position) => Effect.Effect<void, E | SqlError>,
        onStep: OnStep
      ) =>
        transaction(({ connection }) =>
          Effect.gen(function*() {
            yield* empty(connection, yield* headOf(connection))
            yield* begin(connection, source, 0)
            let head = 0
            yield* Stream.runForEach(source.pages(CopySource.events), (page) =>
              Effect.map(append(connection, page), () => {
                head += page.length
                onStep("copying", head, source.head)
              }))
            return yield* finish(connection, source, onStep)
          })
        )
    }
  }).pipe(Effect.provideService(Database, database))

const isSqlError = (error: unknown): error is SqlError => error instanceof SqlError

const overtaken = new StorageError({
  reason: "busy",
  operation: "copy",
  cause: new Error("another process is writing to the target")
})

const corrupt = (why: string) =>
  new StorageError({ reason: "corrupt", operation: "copy", cause: new Error(`${why}; see caravel verify`) })
