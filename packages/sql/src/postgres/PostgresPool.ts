/** A pool of connections, each lent to one user at a time. */
import { Backoff, Waiting } from "@caravel/pubsub"
import type { Connection } from "@effect/sql/SqlConnection"
import { type SqlError } from "@effect/sql/SqlError"
import { Effect, type Scope } from "effect"
import Pg from "pg"
import * as Patience from "../statement/Patience.js"
import * as PostgresClient from "./PostgresClient.js"
import { PostgresConnection, type Watched } from "./PostgresConnection.js"
import { ConnectionLost, isLost, kindOf, PoolExhausted } from "./PostgresError.js"

const isAway = (error: SqlError) => isLost(error.cause)

/** Retries while the server cannot be reached or ends the connection. */
const whileUnreachable = Waiting.retryWhile(isAway, Backoff.untilReachable)

/** Retries an effect that only reads, on another connection, while its errors are transient. */
export const again = Waiting.retryWhile((error: SqlError) => kindOf(error.cause).passes, Backoff.untilReachable)

/** A pool of connections. */
export interface Pool {
  /** Waits for a connection until the deadline, and longer while other users release theirs. */
  readonly acquire: (patience?: Patience.Patience) => Effect.Effect<PostgresConnection, SqlError>
  /** Returns it to the pool, or closes it if it is lost. */
  readonly release: (connection: Connection) => Effect.Effect<void>
  /** Takes a connection, which is released when the scope closes. */
  readonly scoped: (patience?: Patience.Patience) => Effect.Effect<PostgresConnection, SqlError, Scope.Scope>
}

/**
 * A pool, whose connections are closed with the scope. `prepares` makes the server prepare statements. A pooler that
 * switches server connections between transactions does not support this.
 */
export const make = (
  config: PostgresClient.Config & { readonly max: number },
  options: { readonly watched: Watched; readonly prepares?: boolean }
): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        // The wait for a connection is bounded below instead.
        const pool = new Pg.Pool({
          ...config,
          connectionTimeoutMillis: 0,
          Client: PostgresClient.constructorOf(config)
        })
        // The pool removes a connection that fails while it is idle.
        pool.on("error", () => {})
        return pool
      }),
      (pool) => PostgresClient.ended(() => pool.end())
    ),
    (pool) => {
      const lent = new WeakMap<Connection, Pg.PoolClient>()
      let inUse = 0
      let releasedAt = -Infinity

      const giveBack = (client: Pg.PoolClient, connection: PostgresConnection) => {
        inUse--
        if (connection.lost === undefined) releasedAt = performance.now()
        connection.rest()
        client.off("error", connection.lose)
        client.release(connection.lost !== undefined || connection.isStale)
      }

      const attempt = (patience: Patience.Patience, before: () => SqlError | undefined) =>
        Effect.async<PostgresConnection, SqlError>((resume) => {
          let isWanted = true
          let given: PostgresConnection | undefined
          const remaining = () => Math.max(patience.remaining(), releasedAt + Patience.longestWait - performance.now())
          const look = () => {
            const left = remaining()
            if (left > 0) {
              // @effect-diagnostics-next-line globalTimers:off
              timer = setTimeout(look, left)
              return
            }
            isWanted = false
            const isExhausted = inUse >= config.max
            resume(Effect.fail(
              before() ??
                PostgresClient.notConnected(isExhausted ? new PoolExhausted({ connections: inUse }) : noAnswer)
            ))
          }
          // The driver's callbacks run outside fibers.
          // @effect-diagnostics-next-line globalTimers:off
          let timer = setTimeout(look, Math.max(0, remaining()))
          try {
            pool.connect((cause, client) => {
              clearTimeout(timer)
              if (client === undefined) return resume(Effect.fail(PostgresClient.notConnected(cause)))
              if (!isWanted) return client.release()
              inUse++
              given = new PostgresConnection(client, options)
              given.silence.within(patience.remaining())
              lent.set(given, client)
              resume(Effect.succeed(given))
            })
          } catch (cause) {
            clearTimeout(timer)
            resume(Effect.fail(PostgresClient.notConnected(cause)))
          }
          return Effect.sync(() => {
            isWanted = false
            clearTimeout(timer)
            if (given !== undefined) giveBack(lent.get(given)!, given)
          })
        })

      const release = (connection: Connection) =>
        Effect.sync(() => {
          const client = lent.get(connection)
          if (client !== undefined && connection instanceof PostgresConnection) giveBack(client, connection)
        })
      const acquire = (asked?: Patience.Patience) =>
        Effect.suspend(() => {
          const patience = asked ?? Patience.make()
          // If the deadline ends an attempt, the error of the previous attempt says more.
          let last: SqlError | undefined
          const kept = Effect.mapError(attempt(patience, () => last), (error) => {
            last = error
            return error
          })
          return whileUnreachable(kept, patience)
        })
      return { acquire, release, scoped: (patience) => Effect.acquireRelease(acquire(patience), release) }
    }
  )

const noAnswer = new ConnectionLost({ message: "the server does not answer" })
