/** What a copy writes: pages of events, each in a transaction, and in the last one all the rest. */
import { Position, StorageError, type Verification } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Option, Schema, Stream } from "effect"
import * as CopySource from "./CopySource.js"
import { Database } from "./Database.js"
import * as Epochs from "./Epochs.js"
import type { Transaction } from "./OpenTransaction.js"
import { execute, run } from "./Program.js"
import { toStorageError } from "./SqlError.js"
import * as SqlMender from "./SqlMender.js"
import * as SqlVerification from "./SqlVerification.js"
import { chunked, repeat, type Statement } from "./Table.js"

/**
 * The target holds something else than the beginning of the source's journal. To recover, name an empty one.
 *
 * @since 0.1.0
 * @category errors
 */
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
        return `the target has been written: its journal goes on to position ${this.position}, where the source has nothing`
      case "event":
        return `the target has been written, or the source restored: they differ at position ${this.position}`
    }
  }
}

/**
 * Is told how far a copy is, in events: while they are copied, folded into the target's rows, and compared with those.
 *
 * @since 0.1.0
 * @category models
 */
export type OnStep = (step: "copying" | "projecting" | "verifying", done: number, total: number) => void

const clear: ReadonlyArray<Statement> = [
  "lease",
  "parked",
  "consumer",
  "import_refusal",
  "import",
  "idempotency",
  "secret"
]
  .map((name) => [`DELETE FROM ${name}`, [], 0])

/** Statements that insert rows with the columns that they have. */
const insert = (name: string, rows: ReadonlyArray<CopySource.Row>): ReadonlyArray<Statement> => {
  const columns = Object.keys(rows[0] ?? {})
  const row = `(${repeat("?", columns.length)})`
  return chunked<CopySource.Row>(
    (size) => `INSERT INTO ${name} (${columns.join(", ")}) VALUES ${repeat(row, size)}`,
    (rows) => rows.flatMap((row) => columns.map((column) => row[column]))
  )(rows)
}

/**
 * A database that is empty or holds a copy.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (database: typeof Database.Service) =>
  Effect.gen(function*() {
    const { dialect, transact } = database
    const verification = yield* SqlVerification.make
    const makeMender = yield* SqlMender.make
    let head = 0

    const transaction = <A, E>(use: (transaction: Transaction) => Effect.Effect<A, E | SqlError>) =>
      Effect.mapError(
        transact((transaction) =>
          Effect.zipRight(
            dialect.lock === undefined ? Effect.void : transaction.connection.execute(dialect.lock, [], undefined),
            use(transaction)
          )
        ),
        (error) => error instanceof SqlError ? toStorageError(dialect, "copy")(error) : error
      )

    /** Makes sure that nobody else has written the target since. */
    const goOn = (connection: Connection) =>
      Effect.gen(function*() {
        const isWhole = (yield* connection.executeValues(Epochs.currentEpoch, [])).length > 0
        const last = yield* CopySource.valueOf(connection, dialect.lastPosition)
        if (isWhole || Number(last) !== head) return yield* overtaken
      })

    const mustBePrefix = (connection: Connection, source: CopySource.Source) =>
      Effect.gen(function*() {
        const position = Position.make(head)
        if ((yield* CopySource.valueOf(connection, dialect.identity)) === source.identity) {
          return yield* new NotACopy({ reason: "same", position })
        }
        if (head === 0) return
        const epochs = yield* connection.executeValues("SELECT epoch FROM epoch ORDER BY abs(number)", [])
        if (!epochs.every(([epoch], n) => epoch === source.epochs[n]?.["epoch"])) {
          return yield* new NotACopy({ reason: "epoch", position })
        }
        if (head > source.head) return yield* new NotACopy({ reason: "ahead", position })
        if ((yield* CopySource.valueOf(connection, CopySource.eventAt, [head])) !== (yield* source.eventAt(head))) {
          return yield* new NotACopy({ reason: "event", position })
        }
      })

    /** What the journal is folded to must be what the source has. */
    const mustEqual = (source: CopySource.Source, verified: Verification) =>
      Effect.gen(function*() {
        const { events, head, relays, secrets, tenants } = verified
        const expected = [
          source.head,
          source.head,
          yield* source.count("tenant"),
          yield* source.count("relay"),
          yield* source.count("secret")
        ]
        if ([head, events, tenants, relays, secrets].some((count, n) => count !== expected[n])) {
          return yield* corrupt("the source has other rows than its journal says")
        }
        return verified
      })

    return {
      /** Makes the target an unfinished copy, if it can be one, and gives the last position that it has. */
      begin: (source: CopySource.Source) =>
        transaction(({ connection }) =>
          Effect.gen(function*() {
            head = Number(yield* CopySource.valueOf(connection, dialect.lastPosition))
            yield* mustBePrefix(connection, source)
            yield* connection.execute(dialect.deferForeignKeys, [], undefined)
            const epochs = source.epochs.map((row) => ({ ...row, number: -Number(row["number"]) }))
            yield* run(
              connection,
              execute([...(head === 0 ? clear : []), ["DELETE FROM epoch", [], 0], ...insert("epoch", epochs)])
            )
            return head
          })
        ),

      /** Writes a page of events, and gives the position of the last. */
      append: (page: ReadonlyArray<CopySource.Row>) =>
        transaction(({ connection, written }) =>
          Effect.gen(function*() {
            yield* goOn(connection)
            const last = page[page.length - 1]
            if (last === undefined) return head
            yield* run(connection, execute(insert(CopySource.events.name, page)))
            written.push(String(last["id"]))
            return Number(last["position"])
          })
        ).pipe(Effect.tap((last) => {
          head = last
        })),

      /** Writes what is beside the journal, all of it, and has the target be whole if it is. */
      finish: (source: CopySource.Source, onStep: OnStep) =>
        transaction(({ connection }) =>
          Effect.gen(function*() {
            yield* goOn(connection)
            yield* connection.execute(dialect.deferForeignKeys, [], undefined)
            yield* run(connection, execute(clear))
            for (const table of CopySource.beside) {
              yield* Stream.runForEach(
                source.pages(table),
                (page) => run(connection, execute(insert(table.name, page)))
              )
            }
            yield* Stream.runForEach(
              verification(connection, "copy", makeMender(connection)),
              ({ events, head }) => Effect.sync(() => onStep("projecting", events, head))
            )
            const last = yield* Stream.runFoldEffect(
              verification(connection, "copy"),
              Option.none<Verification>(),
              (_, step) => {
                onStep("verifying", step.events, step.head)
                const [drift] = step.differences
                return drift === undefined
                  ? Effect.succeedSome(step)
                  : corrupt(`the source's journal is not sound, as at ${drift.resourceType} ${drift.resourceId}`)
              }
            )
            const verified = yield* mustEqual(source, Option.getOrThrow(last))
            yield* connection.execute("UPDATE epoch SET number = -number", [], undefined)
            return verified
          })
        )
    }
  }).pipe(Effect.provideService(Database, database))

const overtaken = new StorageError({
  reason: "busy",
  operation: "copy",
  cause: new Error("somebody else writes the target at the same time")
})

const corrupt = (why: string) =>
  new StorageError({ reason: "corrupt", operation: "copy", cause: new Error(`${why}; see caravel verify`) })
