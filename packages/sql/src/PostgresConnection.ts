/** Connections of the driver `pg`: one that is lent, a pool of them, and one on its own. */
import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Array, Clock, Context, Effect, Schedule, type Scope, Stream } from "effect"
import Pg from "pg"
import { Client } from "./internal/postgresClient.js"
import { retryWhile } from "./internal/retryWhile.js"
import { ConnectionLost, errorOf, isLost } from "./PostgresDialect.js"
import type { AnsweringConnection, Rows } from "./Program.js"
import type { Statement } from "./Table.js"

/** Integers of 64 bits, as SQLite's client gives them: numbers, or whole to who asks for it. */
const typesWith = (int8: (text: string) => unknown): Pg.CustomTypesConfig => ({
  getTypeParser: (id, format) => Number(id) === Pg.types.builtins.INT8 ? int8 : Pg.types.getTypeParser(id, format)
})
const numbers = typesWith(Number)
const bigints = typesWith(BigInt)

/** How long an interrupted statement may take to end by itself, before its connection is given up. */
const grace = "500 millis"

/**
 * A connection that one at a time has.
 *
 * @since 0.1.0
 * @category models
 */
export class PostgresConnection implements AnsweringConnection {
  readonly client: Pg.Client | Pg.PoolClient
  private readonly prepares: boolean
  /** Why nothing can be done with it any more. */
  lost: SqlError | undefined
  private readonly whenLost = new Set<(error: SqlError) => void>()

  constructor(client: Pg.Client | Pg.PoolClient, prepares = false) {
    this.client = client
    this.prepares = prepares
    client.on("error", this.lose)
  }

  readonly lose = (cause: Error): void => {
    if (this.lost !== undefined) return
    this.lost = failed("The connection is lost")(cause)
    // Otherwise the driver would wait for the answers to what it has sent.
    this.client.connection.stream.destroy()
    for (const tell of this.whenLost) tell(this.lost)
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

  readonly send = (statements: ReadonlyArray<Statement>): Effect.Effect<ReadonlyArray<Rows>, SqlError> =>
    Effect.map(
      this.queries(
        statements.map(([text, params, count]) => ({
          text,
          params,
          rowMode: "array",
          // A lone command takes a sixth less. Those of many rows are planned anew: what is planned for an empty table stays so.
          ...(this.prepares && count === 1 && { name: nameOf(text) })
        })),
        numbers
      ),
      Array.map(({ rows }) => rows)
    )

  private query(query: Query): Effect.Effect<Pg.QueryResult<any>, SqlError> {
    return Effect.withFiberRuntime((fiber) => {
      const types = Context.get(fiber.currentContext, SafeIntegers) ? bigints : numbers
      return Effect.map(this.queries([query], types), ([result]) => result!)
    })
  }

  /** Sends all at once; the server answers one after another. */
  private queries(
    queries: ReadonlyArray<Query>,
    types: Pg.CustomTypesConfig
  ): Effect.Effect<ReadonlyArray<Pg.QueryResult<any>>, SqlError> {
    return Effect.suspend(() => {
      const results: Array<Pg.QueryResult> = []
      let unanswered = queries.length
      let error: SqlError | undefined
      let whenAnswered = () => {}
      return Effect.async<ReadonlyArray<Pg.QueryResult>, SqlError>((resume) => {
        if (this.lost !== undefined) return resume(Effect.fail(this.lost))
        if (unanswered === 0) return resume(Effect.succeed(results))
        const { stream } = this.client.connection
        // All in one write.
        stream.cork()
        try {
          for (const { params, text, ...mode } of queries) {
            // Without parameters it may be several statements, which the server takes at once.
            const values = params.length === 0 ? {} : { values: [...params] }
            this.client.query({ text, ...mode, ...values, types }, (cause: Error | null, result: Pg.QueryResult) => {
              if (cause !== null) {
                const failure = failed("Failed to execute statement")(cause)
                if (isLost(failure.cause)) this.lose(cause)
                error ??= failure
              } else if (text === "COMMIT" && result.command !== text) error ??= rolledBack
              else results.push(result)
              if (--unanswered > 0) return
              resume(error === undefined ? Effect.succeed(results) : Effect.fail(error))
              whenAnswered()
            })
          }
        } catch (cause) {
          // Nobody knows how much of it was sent.
          this.lose(cause as Error)
          return resume(Effect.fail(failed("Failed to execute statement")(cause)))
        } finally {
          stream.uncork()
        }
        return Effect.async<void>((resume) => {
          whenAnswered = () => resume(Effect.void)
          if (unanswered === 0) whenAnswered()
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
}

const names = new Map<string, string>()

/** By what the server knows a statement that it has prepared. There are few. */
const nameOf = (text: string): string => {
  const name = names.get(text) ?? `caravel_${names.size}`
  names.set(text, name)
  return name
}

interface Query {
  readonly text: string
  readonly name?: string
  readonly params: ReadonlyArray<unknown>
  readonly rowMode?: "array"
}

/** The server does not call that an error. */
const rolledBack = new SqlError({
  message: "The transaction was rolled back",
  cause: new Error("a statement in it had failed, and nothing after that was done")
})

const failed = (message: string) => (cause: unknown) => new SqlError({ cause: errorOf(cause as Error), message })

/**
 * Where the database is, and how to speak to it.
 *
 * @since 0.1.0
 * @category models
 */
export type Config = Pg.PoolConfig

/** Who is cut off from the server learns of it by the system after 15 seconds, if nothing is under way. */
const defaults = {
  keepAlive: true,
  keepAliveInitialDelayMillis: 5_000,
  connectionTimeoutMillis: 5_000,
  // Statements do not wait until those before them are answered.
  pipeline: true
}

const isUnavailable = (error: SqlError) => isLost(error.cause)

const whileAway = Schedule.exponential("10 millis").pipe(
  Schedule.union(Schedule.spaced("250 millis")),
  Schedule.jittered,
  Schedule.upTo("5 seconds")
)

/**
 * Tries again for five seconds, while the server cannot be reached or ends the connection.
 *
 * @since 0.1.0
 * @category combinators
 */
export const patiently = retryWhile(isUnavailable, whileAway)

/** A server that cannot be reached does not say good-bye. */
const ended = (end: () => Promise<void>) =>
  Effect.ignore(Effect.tryPromise(end)).pipe(
    Effect.interruptible,
    Effect.timeoutOption("1 second"),
    Effect.withClock(Clock.make())
  )

/**
 * A pool of connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pool {
  readonly acquire: Effect.Effect<PostgresConnection, SqlError>
  /** Gives it back, or up if it is lost. */
  readonly release: (connection: Connection) => Effect.Effect<void>
  /** Takes a connection for each statement. */
  readonly scoped: Effect.Effect<PostgresConnection, SqlError, Scope.Scope>
}

/**
 * A pool, whose connections are closed at its end. They have the server prepare statements where those can be found again:
 * not behind a pooler that gives each transaction another connection.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pool = (
  config: Config,
  prepares = false
): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const pool = new Pg.Pool({ ...defaults, ...config, Client })
        // One that dies while nobody has it is taken out.
        pool.on("error", () => {})
        return pool
      }),
      (pool) => ended(() => pool.end())
    ),
    (pool) => {
      const lent = new WeakMap<Connection, Pg.PoolClient>()
      const giveBack = (client: Pg.PoolClient, connection: PostgresConnection) => {
        client.off("error", connection.lose)
        client.release(connection.lost !== undefined)
      }
      const acquire = Effect.async<PostgresConnection, SqlError>((resume) => {
        let isWanted = true
        let given: PostgresConnection | undefined
        pool.connect((cause, client) => {
          if (client === undefined) {
            return resume(Effect.fail(failed("Failed to connect")(cause)))
          }
          if (!isWanted) return client.release()
          given = new PostgresConnection(client, prepares)
          lent.set(given, client)
          resume(Effect.succeed(given))
        })
        return Effect.sync(() => {
          isWanted = false
          if (given !== undefined) giveBack(lent.get(given)!, given)
        })
      })
      const release = (connection: Connection) =>
        Effect.sync(() => {
          const client = lent.get(connection)
          if (client !== undefined && connection instanceof PostgresConnection) giveBack(client, connection)
        })
      const patient = patiently(acquire)
      return { acquire: patient, release, scoped: Effect.acquireRelease(patient, release) }
    }
  )

/**
 * A connection of its own, closed at the scope's end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = (config: Config): Effect.Effect<PostgresConnection, SqlError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = new Pg.Client({ ...defaults, ...config })
        const connection = new PostgresConnection(client)
        await client.connect()
        return connection
      },
      catch: failed("Failed to connect")
    }),
    ({ client }) => ended(() => client instanceof Pg.Client ? client.end() : Promise.resolve())
  )
