/** Transactions on an SQLite file. They share one connection, which one transaction or statement holds at a time. */
import { StorageError } from "@caravel/domain"
import { Backoff, Waiting } from "@caravel/pubsub"
import type { Reactivity } from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { makeCompilerSqlite } from "@effect/sql/Statement"
import { Effect, Exit, Predicate } from "effect"
import { beforeEach } from "../database/OpenTransaction.js"
import type * as Transaction from "../database/Transaction.js"
import * as TransactionalClient from "../database/TransactionalClient.js"
import { startsWith } from "../statement/Keywords.js"
import { Mutex, type Restore } from "../statement/Mutex.js"
import * as Patience from "../statement/Patience.js"
import { execute, run, type StatementScript } from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"
import type { SqliteConnection } from "./SqliteConnection.js"
import { ConnectionInUse, sqlite } from "./SqliteDialect.js"

/** A client on this connection. `afterBegin` runs first in each of its transactions. */
export const make = (
  connection: SqliteConnection,
  afterBegin: () => StatementScript<void> = function*() {}
): Effect.Effect<TransactionalClient.TransactionalClient, never, Reactivity> =>
  TransactionalClient.make({
    ...lend(connection, afterBegin),
    compiler: makeCompilerSqlite(),
    dialect: sqlite,
    spanAttributes: [["db.system.name", "sqlite"]],
    afterBegin
  })

const isBusy = (error: SqlError) => sqlite.reasonOf(error.cause) === "busy"

/** Waits for another process's transaction. The driver's busy wait would block the event loop. */
export const retryWhileBusy = Waiting.retryWhile(isBusy, Backoff.untilUnlocked)

/** Statements that cannot run in a transaction, or have no effect there. */
const isOutside = startsWith("PRAGMA|VACUUM|ATTACH|DETACH|BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE")

/** Runs each plain statement that may write in a transaction of its own, which begins as callers' transactions do. */
const inOwnTransaction = (connection: SqliteConnection, afterBegin: () => StatementScript<void>): Connection => {
  const begin = function*(): StatementScript<void> {
    yield* execute(beginImmediate)
    yield* afterBegin()
  }
  const around = <A>(text: string, statement: Effect.Effect<A, SqlError>) =>
    Effect.suspend(() => {
      const patience = Patience.make()
      if (connection.isReading(text)) return retryWhileBusy(statement, patience)
      const attempt = () =>
        isOutside.test(text)
          ? Effect.zipRight(run(connection, afterBegin()), statement)
          : run(connection, begin()).pipe(
            Effect.zipRight(statement),
            Effect.zipLeft(connection.executeRaw("COMMIT", [])),
            Effect.tapErrorCause(() => Effect.ignore(connection.executeRaw("ROLLBACK", [])))
          )
      return retryWhileBusy(Effect.uninterruptible(Effect.suspend(attempt)), patience)
    })
  return {
    execute: (text, params, transformRows) => around(text, connection.execute(text, params, transformRows)),
    executeRaw: (text, params) => around(text, connection.executeRaw(text, params)),
    executeValues: (text, params) => around(text, connection.executeValues(text, params)),
    executeUnprepared: (text, params, transformRows) => around(text, connection.execute(text, params, transformRows)),
    executeStream: connection.executeStream
  }
}

const beginImmediate: ReadonlyArray<Statement> = [["BEGIN IMMEDIATE", []]]

/**
 * Whether the log holds the transaction, and could not be synced. This process does not see the transaction, and
 * overwrites it with the next one. If the process or the machine stops before that, SQLite finds it in the log.
 */
const isUnsynced = (cause: unknown) => Predicate.hasProperty(cause, "code") && cause.code === "SQLITE_IOERR_FSYNC"

const unknownCommit = ({ cause, message }: SqlError) =>
  new SqlError({ message, cause: new StorageError({ reason: "commitUnknown", operation: "commit", cause, advice }) })

const advice = "the disk could not be synced; look up what was written before trying again"

const inUse = new SqlError({ message: "The connection is in use", cause: new ConnectionInUse() })

/**
 * Lends this one connection to one transaction or plain statement at a time, in FIFO order. The wait for it is bounded.
 * It goes on while others' transactions begin, or while Caravel's own long operation runs statements on it.
 */
const lend = (connection: SqliteConnection, afterBegin: () => StatementScript<void>) => {
  const mutex = new Mutex()
  const lent = Effect.succeed(connection)
  // When a transaction last began, a statement succeeded, or a long operation went on. A holder that fails makes no
  // progress.
  let progressAt = -Infinity
  const sinceProgress = () => progressAt + Patience.longestWait - performance.now()
  const progress = () => {
    progressAt = performance.now()
  }
  const acquire: Transaction.Connections["acquire"] = (restore, patience) =>
    Effect.suspend(() => {
      if (mutex.tryAcquire()) return lent
      const remaining = () => Math.max(patience.remaining(), sinceProgress())
      return Effect.zipRight(mutex.acquireWithin(restore, remaining, inUse), lent)
    })
  const release = () => mutex.release()
  const progressing = beforeEach(connection, progress)
  const plain = inOwnTransaction(connection, afterBegin)
  // A holder that has waited for the connection may still wait for other processes.
  let holder: Patience.Patience
  const holderPatience: Patience.Patience = { remaining: () => Math.max(holder.remaining(), sinceProgress()) }
  const connections: Transaction.Connections = {
    acquire,
    release,
    begin: () => beginImmediate,
    retryWhileBusy: (effect, patience, restore) => {
      holder = patience
      return Effect.map(retryWhileBusy(effect, holderPatience, restore), (result) => {
        progress()
        return result
      })
    },
    resolveUnknownCommit: (_, error) => Effect.fail(isUnsynced(error.cause) ? unknownCommit(error) : error)
  }
  return {
    callerTransactions: connections,
    liveTransactions: connections,
    internal: connections,
    longInternal: {
      ...connections,
      acquire: (restore: Restore, patience: Patience.Patience) => Effect.as(acquire(restore, patience), progressing)
    },
    commandWriter: connections,
    callerStatements: Effect.as(
      Effect.uninterruptibleMask((restore) =>
        Effect.zipRight(
          acquire(restore, Patience.make()),
          Effect.addFinalizer((exit) =>
            Effect.sync(() => {
              if (Exit.isSuccess(exit)) progress()
              release()
            })
          )
        )
      ),
      plain
    )
  }
}
