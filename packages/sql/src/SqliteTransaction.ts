/** Transactions on an SQLite file: all on one connection, which is lent to one transaction or statement at a time. */
import type { Reactivity } from "@effect/experimental/Reactivity"
import type { SqlError } from "@effect/sql/SqlError"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { Effect, Schedule } from "effect"
import * as Patience from "./internal/Patience.js"
import { retryWhile } from "./internal/retryWhile.js"
import { Turns } from "./internal/Turns.js"
import { wrap } from "./OpenTransaction.js"
import type { AnsweringConnection, Program } from "./Program.js"
import { sqlite } from "./SqliteDialect.js"
import * as Transaction from "./Transaction.js"

/**
 * A client over this connection, in whose transactions `begun` runs first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  connection: AnsweringConnection,
  begun: () => Program<void> = function*() {}
): Effect.Effect<Transaction.TransactionalClient, never, Reactivity> =>
  Transaction.make({
    ...lend(connection),
    compiler: makeCompilerSqlite(),
    dialect: sqlite,
    spanAttributes: [["db.system.name", "sqlite"]],
    begun
  })

/** Waiting for another process's transaction must not block the event loop, so it is done here and not by the driver. */
const whileBusy = Schedule.exponential("1 millis", 1.5).pipe(
  Schedule.union(Schedule.spaced("25 millis")),
  Schedule.jittered
)

const isBusy = (error: SqlError) => sqlite.reasonOf(error.cause) === "busy"

const patiently = retryWhile(isBusy, whileBusy)

/** Lends a connection to one transaction, or plain statement, at a time, in the order in which they ask. */
const lend = (connection: AnsweringConnection) => {
  const turns = new Turns()
  const lent = Effect.succeed(connection)
  const acquire: Transaction.Connections["acquire"] = (restore) => Effect.zipRight(turns.take(restore), lent)
  const release = Effect.sync(() => turns.pass())
  const plain = wrap(connection, (statement) => Effect.suspend(() => patiently(statement, Patience.make())))
  const connections: Transaction.Connections = {
    acquire,
    release: () => release,
    begin: () => "BEGIN IMMEDIATE",
    patiently,
    outcome: (_, error) => Effect.fail(error)
  }
  return {
    own: connections,
    long: connections,
    live: connections,
    writer: connections,
    callers: connections,
    plain: Effect.as(
      Effect.uninterruptibleMask((restore) =>
        Effect.zipRight(acquire(restore, Patience.make()), Effect.addFinalizer(() => release))
      ),
      plain
    )
  }
}
