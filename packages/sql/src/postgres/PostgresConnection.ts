/** Connections of the driver `pg`. Each has one user at a time, and is given up if the server does not answer. */
import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Clock, Context, Effect, type Scope, Stream } from "effect"
import type { Socket } from "node:net"
import Pg from "pg"
import { startsWith } from "../statement/Keywords.js"
import type { AnsweringConnection, ResultRows } from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"
import { AnswerTimeout, longestCommit } from "./AnswerTimeout.js"
import { Pipeline, type PreparedStatements } from "./Pipeline.js"
import * as PostgresClient from "./PostgresClient.js"
import { isInternal } from "./PostgresDialect.js"
import { ConnectionLost, errorOf, kindOf } from "./PostgresError.js"

/** Reads integers of 64 bits as SQLite's client does: as numbers, or as bigints under `SafeIntegers`. */
const typesWith = (int8: (text: string) => unknown): Pg.CustomTypesConfig => ({
  getTypeParser: (id, format) => Number(id) === Pg.types.builtins.INT8 ? int8 : Pg.types.getTypeParser(id, format)
})
const numbers = typesWith(Number)
const bigints = typesWith(BigInt)

/**
 * Which statements the server must answer in time: all, only Caravel's own on a caller's connection, or none, because
 * some take long.
 */
export type Watched = "all" | "own" | "none"

/** How a connection waits for answers. */
export interface Waits {
  readonly watched: Watched
  /** How long a watched COMMIT may take, in milliseconds. */
  readonly longestCommit?: number | undefined
}

/** How long an interrupted statement may take to end by itself, before its connection is given up. */
const grace = "500 millis"

/** A connection with one user at a time. */
export class PostgresConnection implements AnsweringConnection {
  readonly client: Pg.Client | Pg.PoolClient
  /** The statements that the server has prepared, if it may prepare any. */
  private readonly prepared: PreparedStatements | undefined
  /** The error with which the connection was lost. */
  lost: SqlError | undefined
  /** Whether an error occurred that may be specific to this connection. */
  isStale = false
  private watched: Watched
  private longestCommit: number
  readonly answerTimeout = new AnswerTimeout(
    () => this.client.connection.stream as Socket,
    (since) => this.lose(new ConnectionLost({ message: "the server does not answer", since }))
  )
  private keepalives: NodeJS.Timeout | undefined
  /** The statement that ends the keepalives: after it, other transactions wait for this one. */
  private untilHeld: Statement | undefined
  private readonly whenLost = new Set<(error: SqlError) => void>()

  constructor(
    client: Pg.Client | Pg.PoolClient,
    options: Waits & { readonly prepared?: PreparedStatements | undefined }
  ) {
    this.client = client
    this.watched = options.watched
    this.longestCommit = options.longestCommit ?? longestCommit
    this.prepared = options.prepared
    client.on("error", this.lose)
  }

  /** Changes how it waits for answers. */
  wait({ longestCommit: commit = longestCommit, watched }: Waits): void {
    this.watched = watched
    this.longestCommit = commit
  }

  readonly lose = (cause: unknown): void => {
    if (this.lost !== undefined) return
    this.lost = failed("The connection is lost")(cause)
    this.answerTimeout.stop()
    this.stopKeepalives()
    // Otherwise the driver would wait for answers to the statements that it has sent.
    this.client.connection.stream.destroy()
    for (const tell of this.whenLost) tell(this.lost)
  }

  /**
   * Sends keepalives until the connection is released: the process is alive although its transaction is idle. They end
   * when the statement `untilHeld` is sent: from then on the transaction is bounded, because others wait for it.
   */
  startKeepalives(every: number, [untilHeld]: ReadonlyArray<Statement>): void {
    this.untilHeld = untilHeld
    // If the transaction has failed or the connection is lost, the transaction's next statement fails.
    // @effect-diagnostics-next-line globalTimers:off
    this.keepalives = setInterval(() => this.client.query("SELECT 1", () => {}), every)
    this.keepalives.unref()
  }

  /** Stops the keepalives. */
  stopKeepalives(): void {
    clearInterval(this.keepalives)
    this.keepalives = undefined
  }

  /** Fails once the connection is lost. */
  readonly end: Effect.Effect<never, SqlError> = Effect.async((resume) => {
    const tell = (error: SqlError) => resume(Effect.fail(error))
    if (this.lost !== undefined) return tell(this.lost)
    this.whenLost.add(tell)
    return Effect.sync(() => this.whenLost.delete(tell))
  })

  readonly executeRaw: Connection["executeRaw"] = (text, params) => this.query({ text, params })

  readonly execute: Connection["execute"] = (text, params, transformRows) =>
    Effect.map(this.query({ text, params }), ({ rows = [] }) => transformRows?.(rows) ?? rows)

  readonly executeUnprepared = this.execute

  readonly executeValues: Connection["executeValues"] = (text, params) =>
    Effect.map(this.query({ text, params, rowMode: "array" }), ({ rows }) => rows)

  readonly executeStream: Connection["executeStream"] = (text, params, transformRows) =>
    Stream.fromIterableEffect(this.execute(text, params, transformRows))

  readonly send = (statements: ReadonlyArray<Statement>): Effect.Effect<ReadonlyArray<ResultRows>, SqlError> => {
    if (this.keepalives !== undefined && statements.some(([, params]) => params === this.untilHeld?.[1])) {
      this.stopKeepalives()
    }
    if (statements.length === 0) return Effect.succeed([])
    if (this.prepared !== undefined) return this.pipelined(statements, this.prepared)
    const queries = statements.map(([text, params]): Query => ({ text, params, rowMode: "array" }))
    return Effect.map(this.queries(queries, numbers, this.watched !== "none"), Arr.map(({ rows }) => rows))
  }

  /** Sends the statements in a pipeline. The server prepares them, which saves a sixth of the time of a lone command. */
  private pipelined(statements: ReadonlyArray<Statement>, prepared: PreparedStatements) {
    const isWatched = this.watched !== "none"
    return this.request<ReadonlyArray<ResultRows>>(
      { answers: statements.length, isCommit: statements.at(-1)?.[0] === "COMMIT", isWatched },
      (done) => {
        let unanswered = statements.length
        let error: SqlError | undefined
        const pipeline = new Pipeline({
          statements,
          prepared,
          types: numbers,
          onAnswer: (tag) => {
            if (isWatched) this.answerTimeout.answered()
            if (tag === "ROLLBACK" && statements[statements.length - unanswered]![0] === "COMMIT") error = rolledBack
            unanswered--
          },
          onEnd: (cause) => {
            for (; isWatched && unanswered > 0; unanswered--) this.answerTimeout.answered()
            if (cause !== null) error = this.failedBy(cause)
            done(error === undefined ? Effect.succeed(pipeline.answered) : Effect.fail(error))
          }
        })
        this.client.query(pipeline)
      }
    )
  }

  /**
   * The same connection, but each statement that may write runs in a transaction of its own, which begins with `first`,
   * in one round trip. A statement that cannot run in a transaction runs right after `first`.
   */
  begunWith(first: Query): Connection {
    const query = (query: Query) => {
      if (isReading.test(query.text) || this.client.getTransactionStatus() !== "I") return this.query(query)
      return Effect.catchIf(
        this.query(query, [{ text: "BEGIN", params: [] }, first]),
        ({ cause }) => cause instanceof Pg.DatabaseError && (cause.code === "25001" || cause.code === "2D000"),
        () => Effect.zipRight(this.query(first), this.query(query))
      )
    }
    const execute: Connection["execute"] = (text, params, transformRows) =>
      Effect.map(query({ text, params }), ({ rows = [] }) => transformRows?.(rows) ?? rows)
    return {
      execute,
      executeUnprepared: execute,
      executeRaw: (text, params) => query({ text, params }),
      executeValues: (text, params) => Effect.map(query({ text, params, rowMode: "array" }), ({ rows }) => rows),
      executeStream: (text, params, transformRows) => Stream.fromIterableEffect(execute(text, params, transformRows))
    }
  }

  private query(query: Query, begin: ReadonlyArray<Query> = []): Effect.Effect<Pg.QueryResult<any>, SqlError> {
    return Effect.withFiberRuntime((fiber) => {
      const types = Context.get(fiber.currentContext, SafeIntegers) ? bigints : numbers
      const isWatched = this.watched === "all" || this.watched === "own" && isInternal(query.text)
      const all = begin.length === 0 ? [query] : [...begin, query, commit]
      return Effect.map(this.queries(all, types, isWatched), (results) => results[begin.length]!)
    })
  }

  /** Sends all statements at once. The server answers them in order. */
  private queries(
    queries: ReadonlyArray<Query>,
    types: Pg.CustomTypesConfig,
    isWatched: boolean
  ): Effect.Effect<ReadonlyArray<Pg.QueryResult<any>>, SqlError> {
    return this.request({ answers: queries.length, isCommit: queries.at(-1)?.text === "COMMIT", isWatched }, (done) => {
      const results: Array<Pg.QueryResult> = []
      let unanswered = queries.length
      let error: SqlError | undefined
      for (const { params, text, ...mode } of queries) {
        // Without parameters, the text may hold several statements.
        const values = params.length === 0 ? {} : { values: [...params] }
        // If the statement cannot be sent, the driver calls back twice.
        let isAnswered = false
        this.client.query({ text, ...mode, ...values, types }, (cause: Error | null, result: Pg.QueryResult) => {
          if (isAnswered) return
          isAnswered = true
          if (isWatched) this.answerTimeout.answered()
          if (cause !== null) error ??= this.failedBy(cause)
          else if (text === "COMMIT" && result.command !== text) error ??= rolledBack
          else results.push(result)
          if (--unanswered > 0) return
          done(error === undefined ? Effect.succeed(results) : Effect.fail(error))
        })
      }
    })
  }

  /**
   * Sends what `send` writes, at once, and waits until it calls `done`. If the caller is interrupted and the answers do
   * not come soon, the connection is given up.
   */
  private request<A>(
    { answers, isCommit, isWatched }: {
      readonly answers: number
      readonly isCommit: boolean
      readonly isWatched: boolean
    },
    send: (done: (outcome: Effect.Effect<A, SqlError>) => void) => void
  ): Effect.Effect<A, SqlError> {
    return Effect.suspend(() => {
      let isDone = false
      let whenDone = () => {}
      return Effect.async<A, SqlError>((resume) => {
        if (this.lost !== undefined) return resume(Effect.fail(this.lost))
        const { stream } = this.client.connection
        if (isWatched) this.answerTimeout.expect(answers, isCommit ? this.longestCommit : undefined)
        // Sends everything in one write.
        stream.cork()
        try {
          send((outcome) => {
            isDone = true
            resume(outcome)
            whenDone()
          })
        } catch (cause) {
          // How much of it was sent is unknown.
          this.lose(new ConnectionLost({ message: errorOf(cause).message }))
          resume(Effect.fail(failed("Failed to execute statement")(cause)))
        } finally {
          stream.uncork()
        }
        return Effect.async<void>((resume) => {
          whenDone = () => resume(Effect.void)
          if (isDone) whenDone()
        }).pipe(
          Effect.interruptible,
          Effect.timeoutFail({
            duration: grace,
            onTimeout: () => new ConnectionLost({ message: "a statement was interrupted" })
          }),
          Effect.withClock(Clock.make()),
          Effect.catchAll((cause) => Effect.sync(() => this.lose(cause)))
        )
      })
    })
  }

  private failedBy(cause: Error): SqlError {
    if (this.lost !== undefined) return this.lost
    const failure = failed("Failed to execute statement")(cause)
    const { connection } = kindOf(failure.cause)
    if (connection === "lost") this.lose(cause)
    if (connection === "stale") this.isStale = true
    return failure
  }
}

/** Statements that write nothing unless they call a function that does, and statements that control transactions. */
const isReading = startsWith(
  "SELECT|TABLE|VALUES|SHOW|BEGIN|START|COMMIT|END|ABORT|ROLLBACK|SAVEPOINT|RELEASE"
)

const commit: Query = { text: "COMMIT", params: [] }

interface Query {
  readonly text: string
  readonly params: ReadonlyArray<unknown>
  readonly rowMode?: "array"
}

/** The server reports ROLLBACK as the result of the COMMIT, not as an error. */
const rolledBack = new SqlError({
  message: "The transaction was rolled back",
  cause: new Error("a statement in it had failed, and nothing after it was executed")
})

const failed = (message: string) => (cause: unknown) => new SqlError({ cause: errorOf(cause), message })

/** Opens a connection, which the scope closes. With `prepared`, the server prepares statements. */
export const connect = (
  config: PostgresClient.Config,
  watched: Watched = "none",
  prepared?: PreparedStatements
): Effect.Effect<PostgresConnection, SqlError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = PostgresClient.make(config)
        const connection = new PostgresConnection(client, { watched, prepared })
        await client.connect().catch((cause: unknown) => {
          // What fails in the driver leaves the socket open.
          void client.end().catch(() => {})
          throw cause
        })
        return connection
      },
      catch: PostgresClient.notConnected
    }),
    ({ client }) => PostgresClient.ended(() => client instanceof Pg.Client ? client.end() : Promise.resolve())
  )
