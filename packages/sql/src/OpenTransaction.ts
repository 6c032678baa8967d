import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, Option, Stream } from "effect"
import type { Dialect } from "./Dialect.js"
import type { AnsweringConnection } from "./Program.js"

/**
 * An open transaction.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transaction {
  readonly connection: AnsweringConnection
  /** The ids of events written in it: what of them is there tells whether it has committed, if COMMIT does not. */
  readonly written: Array<string>
  /** Runs in order, each once, when the outermost transaction has committed: uninterruptibly and outside of it. */
  readonly afterCommit: Set<Effect.Effect<void>>
  /** For what must have the transaction's connection to itself. */
  readonly lock: Effect.Semaphore
}

/**
 * A transaction on a connection, which takes statements until it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export class OpenTransaction implements Transaction {
  readonly connection: AnsweringConnection
  /** The same for the caller's own statements. */
  readonly callers: AnsweringConnection
  readonly written: Array<string> = []
  readonly afterCommit = new Set<Effect.Effect<void>>()
  readonly lock = Effect.unsafeMakeSemaphore(1)
  private readonly dialect: Dialect
  private savepoints = 0
  private failure: Option.Option<SqlError> = Option.none()

  constructor(dialect: Dialect, connection: AnsweringConnection) {
    this.dialect = dialect
    const { answer, send } = connection
    this.callers = {
      ...wrap(connection, (statement) => this.guard(statement)),
      ...(answer && {
        answer: (request) =>
          Option.isSome(this.failure)
            ? Either.left(this.failure.value)
            : Either.mapLeft(answer(request), (error) => this.noted(error))
      }),
      ...(send && { send: (statements) => this.guard(send(statements)) })
    }
    this.connection = caravels(dialect, this.callers)
  }

  readonly fail = (error: SqlError): Effect.Effect<void> =>
    Effect.sync(() => {
      this.failure = Option.some(error)
    })

  nextSavepoint(): number {
    return this.savepoints++
  }

  /** No statement runs from now on. Gives the error, if any, by which the database ended the transaction before. */
  end(): Option.Option<SqlError> {
    const failure = this.failure
    this.failure = Option.some(ended)
    return failure
  }

  /** A statement of a fiber that outlived its transaction, or that the database ended, must not run outside of it. */
  private guard<A>(statement: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return Effect.suspend(() =>
      Option.isSome(this.failure)
        ? Effect.fail(this.failure.value)
        : Effect.mapError(statement, (error) => this.noted(error))
    )
  }

  private noted(error: SqlError): SqlError {
    if (this.dialect.endsTransaction(error.cause)) this.failure = Option.some(error)
    return error
  }
}

const ended = new SqlError({
  message: "The transaction has ended",
  cause: new Error("a fiber outlived the transaction it was forked in; fork it outside, or await it inside")
})

/**
 * The connection for Caravel's own statements: it takes them as they are written, and gives integers as numbers, however the
 * caller wants his.
 *
 * @since 0.1.0
 * @category combinators
 */
export const caravels = (dialect: Dialect, connection: AnsweringConnection): AnsweringConnection => {
  const numbered = dialect.numbered(connection)
  return { ...numbered, ...wrap(numbered, Effect.provideService(SafeIntegers, false)) }
}

/**
 * A connection with something around each of its statements.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wrap = (
  connection: Connection,
  around: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
): Connection => ({
  execute: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows)),
  executeRaw: (sql, params) => around(connection.executeRaw(sql, params)),
  executeValues: (sql, params) => around(connection.executeValues(sql, params)),
  // The SQLite driver throws while it prepares these; `execute` fails.
  executeUnprepared: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows)),
  executeStream: (sql, params, transformRows) =>
    Stream.unwrap(Effect.as(around(Effect.void), connection.executeStream(sql, params, transformRows)))
})
