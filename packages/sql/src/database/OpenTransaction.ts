import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Effect, Either, Option, Stream } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import { startsWith } from "../statement/Keywords.js"
import type { AnsweringConnection } from "../statement/StatementScript.js"

/** A connection that can say whether it is in a transaction. */
export interface TransactionalConnection extends AnsweringConnection {
  readonly isInTransaction?: () => boolean
}

/** What all scopes of an open transaction share: its connection and the statements that run on it. */
export class OpenTransaction {
  readonly dialect: Dialect
  readonly connection: TransactionalConnection
  /**
   * The ids of the events written in it. They are used to find out whether it was committed, if the answer to COMMIT is
   * lost.
   */
  readonly written: Array<string> = []
  /** The error with which the database ended the transaction. */
  failure: SqlError | undefined
  private running = 0
  private readonly whenIdle: Array<() => void> = []

  constructor(dialect: Dialect, connection: TransactionalConnection) {
    this.dialect = dialect
    this.connection = connection
  }

  /** Runs a statement, unless `refusal` returns why it must not run. */
  guard<A>(statement: Effect.Effect<A, SqlError>, refusal: () => SqlError | undefined): Effect.Effect<A, SqlError> {
    return Effect.uninterruptibleMask((restore) => {
      const refused = refusal()
      if (refused !== undefined) return Effect.fail(refused)
      this.running++
      return Effect.matchCauseEffect(restore(statement), {
        onFailure: (cause) => {
          this.stopped()
          const error = Cause.failureOption(cause)
          if (Option.isSome(error)) this.note(error.value)
          return Effect.failCause(cause)
        },
        onSuccess: (result) => {
          this.stopped()
          return Effect.succeed(result)
        }
      })
    })
  }

  /** The same for a connection that answers synchronously. */
  guardAnswer<A>(answer: () => Either.Either<A, SqlError>, refusal: () => SqlError | undefined) {
    const refused = refusal()
    return refused === undefined ? Either.mapLeft(answer(), (error) => this.note(error)) : Either.left(refused)
  }

  /** Waits until no statement runs. */
  readonly idle: Effect.Effect<void> = Effect.suspend(() =>
    this.running === 0
      ? Effect.void
      : Effect.async<void>((resume) => {
        this.whenIdle.push(() => resume(Effect.void))
      })
  )

  private stopped(): void {
    if (--this.running > 0) return
    for (const tell of this.whenIdle.splice(0)) tell()
  }

  private note(error: SqlError): SqlError {
    if (this.dialect.endsTransaction(error.cause)) this.failure ??= error
    // As after INSERT OR ROLLBACK. The statements after it would be committed one by one.
    else if (this.connection.isInTransaction?.() === false) this.failure ??= rolledBackWith(error)
    return error
  }
}

const rolledBackWith = ({ cause }: SqlError) =>
  new SqlError({ message: "A statement that failed has rolled back the transaction", cause })

/** Statements that end a transaction. ROLLBACK TO does not. */
const isEnd = startsWith(
  String.raw`COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b)`
)

const notForCallers = new SqlError({
  message: "A statement cannot end the transaction",
  cause: new Error("it is committed when its effect succeeds, and rolled back when it fails")
})

/** A connection for callers' statements in a transaction, with `around` applied to each of them. */
export const wrapCallers = (
  connection: Connection,
  around: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>
): Connection =>
  wrap(connection, (statement, text) => isEnd.test(text) ? Effect.fail(notForCallers) : around(statement))

/**
 * The connection for Caravel's own statements: it accepts `?` placeholders and returns integers as numbers, whatever
 * the caller has configured.
 */
export const internalConnection = (dialect: Dialect, connection: AnsweringConnection): AnsweringConnection => {
  const numbered = dialect.withNativePlaceholders(connection)
  return { ...numbered, ...wrap(numbered, Effect.provideService(SafeIntegers, false)) }
}

/** A connection with `around` applied to each of its statements. */
export const wrap = (
  connection: Connection,
  around: <A>(statement: Effect.Effect<A, SqlError>, text: string) => Effect.Effect<A, SqlError>
): Connection => ({
  execute: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows), sql),
  executeRaw: (sql, params) => around(connection.executeRaw(sql, params), sql),
  executeValues: (sql, params) => around(connection.executeValues(sql, params), sql),
  // The SQLite driver throws while it prepares these; `execute` fails.
  executeUnprepared: (sql, params, transformRows) => around(connection.execute(sql, params, transformRows), sql),
  // All rows are read before the first is emitted: the stream's consumer may itself run statements.
  executeStream: (sql, params, transformRows) =>
    Stream.fromIterableEffect(around(connection.execute(sql, params, transformRows), sql))
})

/** A connection that calls a function before it sends anything. */
export const beforeEach = (connection: TransactionalConnection, call: () => void): TransactionalConnection => {
  const { answer, send } = connection
  const called = Effect.sync(call)
  return {
    ...connection,
    ...wrap(connection, (statement) => Effect.zipRight(called, statement)),
    ...(answer && {
      answer: (step) => {
        call()
        return answer(step)
      }
    }),
    ...(send && { send: (statements) => Effect.zipRight(called, Effect.suspend(() => send(statements))) })
  }
}
