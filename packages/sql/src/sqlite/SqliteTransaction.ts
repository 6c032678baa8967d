/** Transactions on an SQLite file: all on one connection, which is lent to one transaction or statement at a time. */
import type { Reactivity } from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { Effect, Schedule } from "effect"
import * as Transaction from "../database/Transaction.js"
import * as Patience from "../statement/Patience.js"
import { retryWhile } from "../statement/Retry.js"
import { execute, type Program, run } from "../statement/StatementScript.js"
import { Turns } from "../statement/Turns.js"
import type { SqliteConnection } from "./SqliteConnection.js"
import { sqlite } from "./SqliteDialect.js"

/** A client over this connection, in whose transactions `begun` runs first. */
export const make = (
  connection: SqliteConnection,
  begun: () => Program<void> = function*() {}
): Effect.Effect<Transaction.TransactionalClient, never, Reactivity> =>
  Transaction.make({
    ...lend(connection, begun),
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

/** These have no place in a transaction, or no effect there. */
const isOutside =
  /^(?:\s|--.*|\/\*[^]*?\*\/)*(?:PRAGMA|VACUUM|ATTACH|DETACH|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE)\b/i

/** Has each plain statement that may write do so in a transaction of its own, as those of callers begin: otherwise it is refused. */
const begunWith = (connection: SqliteConnection, begun: () => Program<void>): Connection => {
  const begin = function*(): Program<void> {
    yield* execute([["BEGIN IMMEDIATE", [], 0]])
    yield* begun()
  }
  const around = <A>(text: string, statement: Effect.Effect<A, SqlError>) =>
    Effect.suspend(() => {
      const patience = Patience.make()
      if (connection.isReading(text)) return patiently(statement, patience)
      const attempt = () =>
        isOutside.test(text)
          ? Effect.zipRight(run(connection, begun()), statement)
          : run(connection, begin()).pipe(
            Effect.zipRight(statement),
            Effect.zipLeft(connection.executeRaw("COMMIT", [])),
            Effect.tapErrorCause(() => Effect.ignore(connection.executeRaw("ROLLBACK", [])))
          )
      return patiently(Effect.uninterruptible(Effect.suspend(attempt)), patience)
    })
  return {
    execute: (text, params, transformRows) => around(text, connection.execute(text, params, transformRows)),
    executeRaw: (text, params) => around(text, connection.executeRaw(text, params)),
    executeValues: (text, params) => around(text, connection.executeValues(text, params)),
    executeUnprepared: (text, params, transformRows) => around(text, connection.execute(text, params, transformRows)),
    executeStream: connection.executeStream
  }
}

/** Lends a connection to one transaction, or plain statement, at a time, in the order in which they ask. */
const lend = (connection: SqliteConnection, begun: () => Program<void>) => {
  const turns = new Turns()
  const lent = Effect.succeed(connection)
  const acquire: Transaction.Connections["acquire"] = (restore) => Effect.zipRight(turns.take(restore), lent)
  const release = Effect.sync(() => turns.pass())
  const plain = begunWith(connection, begun)
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
