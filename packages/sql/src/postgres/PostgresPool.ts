/** A pool of connections, each lent to one user at a time. */
import { Backoff, Waiting } from "@caravel/pubsub"
import type { Connection } from "@effect/sql/SqlConnection"
import { type SqlError } from "@effect/sql/SqlError"
import { Effect, type Scope } from "effect"
import Pg from "pg"
import * as Patience from "../statement/Patience.js"
import { PreparedStatements } from "./Pipeline.js"
import * as PostgresClient from "./PostgresClient.js"
import { PostgresConnection, type Waits } from "./PostgresConnection.js"
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
  readonly release: (connection: Connection) => void
  /** Takes a connection, which is released when the scope closes. */
  readonly scoped: (patience?: Patience.Patience) => Effect.Effect<PostgresConnection, SqlError, Scope.Scope>
  /** Whether any connection is in use. */
  readonly isInUse: () => boolean
}

/** The same pool, but its connections wait for answers in another way. */
export const waiting = (pool: Pool, waits: Waits): Pool => {
  const watch = (connection: PostgresConnection) => {
    connection.wait(waits)
    return connection
  }
  return {
    ...pool,
    acquire: (patience) => Effect.map(pool.acquire(patience), watch),
    scoped: (patience) => Effect.map(pool.scoped(patience), watch)
  }
}

interface ConnectionOptions extends Waits {
  readonly prepares?: boolean
}

/**
 * A pool, whose connections are closed with the scope. `prepares` makes the server prepare statements. A pooler that
 * switches server connections between transactions does not support this.
 */
export const make = (
  config: PostgresClient.Config & { readonly max: number },
  options: ConnectionOptions
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
      const lender = new Lender(pool, config.max, options)
      const release = (connection: Connection) => lender.takeBack(connection)
      const acquire = (asked?: Patience.Patience) =>
        Effect.suspend(() => {
          const patience = asked ?? Patience.make()
          // If the deadline ends an attempt, the error of the previous attempt says more.
          let last: SqlError | undefined
          const kept = Effect.mapError(lender.lend(patience, () => last), (error) => {
            last = error
            return error
          })
          return whileUnreachable(kept, patience)
        })
      return {
        acquire,
        release,
        // The wait for a connection can be interrupted, as `Effect.acquireRelease` would not allow.
        scoped: (patience) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.tap(
              restore(acquire(patience)),
              (connection) => Effect.addFinalizer(() => Effect.sync(() => release(connection)))
            )
          ),
        isInUse: () => lender.inUse > 0
      }
    }
  )

/** Takes the connection that was waited for, or the reason why there is none. */
type Waiter = (cause: unknown, client: Pg.PoolClient | undefined) => void

/** Whether a transaction was left open, as by an interruption: the next user's statements would be in it. */
const isInTransaction = (client: Pg.PoolClient) => client.getTransactionStatus() !== "I"

/** Lends the connections of the driver's pool, and bounds the wait for one. */
class Lender {
  private readonly pool: Pg.Pool
  private readonly max: number
  private readonly options: ConnectionOptions
  private readonly lent = new WeakMap<Connection, Pg.PoolClient>()
  private readonly prepared = new WeakMap<Pg.PoolClient, PreparedStatements>()
  /** The number of lent connections. */
  inUse = 0
  private releasedAt = -Infinity
  /** The callers that wait for a connection, in order. */
  private readonly waiters = new Set<Waiter>()
  /** How many connections the driver's pool has been asked for. */
  private asked = 0
  private isAsking = false

  constructor(pool: Pg.Pool, max: number, options: ConnectionOptions) {
    this.pool = pool
    this.max = max
    this.options = options
  }

  /** Lends a connection. If the wait takes too long, it fails with the previous error, or with the reason. */
  lend(patience: Patience.Patience, previous: () => SqlError | undefined): Effect.Effect<PostgresConnection, SqlError> {
    return Effect.async((resume) => {
      let connection: PostgresConnection | undefined
      const waiter: Waiter = (cause, client) => {
        this.waiters.delete(waiter)
        stopWaiting()
        if (client === undefined) return resume(Effect.fail(PostgresClient.notConnected(cause)))
        connection = this.connectionOf(client)
        connection.answerTimeout.within(patience.remaining())
        resume(Effect.succeed(connection))
      }
      // While other users release theirs, the wait goes on.
      const remaining = () => Math.max(patience.remaining(), this.releasedAt + Patience.longestWait - performance.now())
      const stopWaiting = Patience.onceExpired(remaining, () => {
        this.waiters.delete(waiter)
        resume(Effect.fail(previous() ?? this.expired()))
      })
      this.waiters.add(waiter)
      this.ask()
      return Effect.sync(() => {
        this.waiters.delete(waiter)
        stopWaiting()
        if (connection !== undefined) this.takeBack(connection)
      })
    })
  }

  takeBack(connection: Connection): void {
    const client = this.lent.get(connection)
    if (client === undefined || !(connection instanceof PostgresConnection)) return
    this.inUse--
    if (connection.lost === undefined) this.releasedAt = performance.now()
    connection.stopKeepalives()
    client.off("error", connection.lose)
    client.release(connection.lost !== undefined || connection.isStale || isInTransaction(client))
    this.ask()
  }

  /**
   * Asks the driver's pool for as many connections as can be lent, and not for each caller: it never forgets a caller
   * that has given up, and recurses through all of them. Such a caller may have asked for a connection that is still
   * being opened, which must not keep the others from one that is idle.
   */
  private ask(): void {
    if (this.isAsking) return
    this.isAsking = true
    const { pool, waiters } = this
    const isIdle = () => waiters.size > 0 && pool.idleCount > pool.waitingCount
    while ((this.asked < waiters.size || isIdle()) && this.asked + this.inUse < this.max) {
      this.asked++
      try {
        this.pool.connect((cause, client) => this.answer(cause, client))
      } catch (cause) {
        this.answer(cause)
      }
    }
    this.isAsking = false
  }

  private answer(cause: unknown, client?: Pg.PoolClient): void {
    this.asked--
    const [waiter] = this.waiters
    if (waiter !== undefined) waiter(cause, client)
    else client?.release()
    this.ask()
  }

  private connectionOf(client: Pg.PoolClient): PostgresConnection {
    const connection = new PostgresConnection(client, {
      ...this.options,
      prepared: this.options.prepares === true ? this.preparedBy(client) : undefined
    })
    this.lent.set(connection, client)
    this.inUse++
    return connection
  }

  private preparedBy(client: Pg.PoolClient): PreparedStatements {
    const prepared = this.prepared.get(client) ?? new PreparedStatements()
    this.prepared.set(client, prepared)
    return prepared
  }

  private expired(): SqlError {
    const { inUse, max } = this
    return PostgresClient.notConnected(inUse >= max ? new PoolExhausted({ connections: inUse }) : noAnswer)
  }
}

const noAnswer = new ConnectionLost({ message: "the server does not answer" })
