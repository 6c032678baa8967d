import { Journal, Position } from "@caravel/domain"
import { Effect, Layer, Schema, Stream } from "effect"
import { Database } from "./Database.js"
import { toStorageError } from "./SqlError.js"
import * as SqlMender from "./SqlMender.js"
import * as SqlVerification from "./SqlVerification.js"

const decodeHead = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Position)))

/**
 * The journal in the table `event`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Journal, never, Database> = Layer.effect(
  Journal,
  Effect.gen(function*() {
    const { current, dialect, read, rows: { event }, snapshot, transact } = yield* Database
    const verification = yield* SqlVerification.make
    const makeMender = yield* SqlMender.make
    const page = `SELECT ${event.columns()} FROM event WHERE position > ? ORDER BY position LIMIT ?`
    const head = "SELECT coalesce(max(position), 0) FROM event"

    return {
      read: (position, limit) => read("Journal.read", page, [position, limit], event.decode),
      head: Effect.map(read("Journal.head", head, [], decodeHead), ([[position]]) => position),
      verify: Stream.unwrapScoped(Effect.map(snapshot, (connection) => verification(connection, "Journal.verify"))),
      rebuild: (onStep = () => Effect.void) => {
        const rebuild = transact(({ connection }) =>
          Effect.gen(function*() {
            const mender = makeMender(connection)
            yield* connection.execute(dialect.deferForeignKeys, [], undefined)
            yield* Stream.runForEach(verification(connection, "Journal.rebuild", mender), onStep)
            return mender.written()
          })
        ).pipe(
          Effect.catchTag("SqlError", (error) => Effect.fail(toStorageError(dialect, "Journal.rebuild")(error)))
        )
        return Effect.flatMap(
          current,
          (transaction) => transaction === undefined ? rebuild : transaction.lock.withPermits(1)(rebuild)
        )
      }
    }
  })
)
