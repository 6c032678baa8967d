/**
 * Transactions on PostgreSQL. Callers' statements, Caravel's own and the writer have separate connections, so that none
 * waits for another.
 */
import { type Epoch, StorageError } from "@caravel/domain"
import { Waiting } from "@caravel/pubsub"
import type { Reactivity } from "@effect/experimental/Reactivity"
import { makeCompiler } from "@effect/sql-pg/PgClient"
import { SqlError } from "@effect/sql/SqlError"
import { type Duration, Effect, Function, Schedule, type Scope } from "effect"
import type * as Transaction from "../database/Transaction.js"
import * as TransactionalClient from "../database/TransactionalClient.js"
import * as Patience from "../statement/Patience.js"
import type { Statement } from "../statement/Table.js"
import { longestCommit } from "./AnswerTimeout.js"
import * as PostgresBounds from "./PostgresBounds.js"
import type { Config } from "./PostgresClient.js"
import type { PostgresConnection } from "./PostgresConnection.js"
import { postgres } from "./PostgresDialect.js"
import { ConnectionLost, isLost } from "./PostgresError.js"
import type { Options } from "./PostgresOptions.js"
import * as PostgresPool from "./PostgresPool.js"

/** The number of connections for Caravel's own statements, besides the writer's. */
const ownConnections = 7

/** The pools of a database: for the writer, for Caravel's own statements, and for callers. */
export interface Pools {
  readonly writer: PostgresPool.Pool
  readonly own: PostgresPool.Pool
  readonly callers: PostgresPool.Pool
}

/** The pools, whose connections are closed with the scope. */
export const pools = (
  config: Config,
  { holdTimeout, maxConnections = 10, wakeUps }: Options
): Effect.Effect<Pools, never, Scope.Scope> =>
  Effect.all({
    writer: PostgresPool.make({ ...config, max: 1 }, { watched: "all", prepares: wakeUps !== "poll" }),
    own: PostgresPool.make({ ...config, max: ownConnections }, { watched: "all" }),
    callers: PostgresPool.make(
      { ...config, max: maxConnections },
      { watched: "own", longestCommit: PostgresBounds.longestCallersCommit(holdTimeout) }
    )
  })

/** A client on these pools. While `epoch` returns one, each transaction fails if the journal is in another. */
export const make = (
  { callers, own, writer }: Pools,
  options: {
    readonly epoch: () => Epoch | undefined
    readonly holdTimeout: Duration.Duration
    /** The same array that commands take them from: a connection recognizes them by identity. */
    readonly holderBounds: ReadonlyArray<Statement>
    readonly host: string | undefined
  }
): Effect.Effect<TransactionalClient.TransactionalClient, never, Reactivity> => {
  const { holderBounds, holdTimeout, host } = options
  // Sent together with the next statements, without a round trip of its own.
  const inEpoch = (begin: (patience: Patience.Patience) => string) => (patience: Patience.Patience) => {
    const epoch = options.epoch()
    const statements: Array<Statement> = [[begin(patience), []]]
    if (epoch !== undefined) statements.push(["SELECT caravel_in_epoch(?)", [epoch]])
    return statements
  }
  const resolveUnknownCommit = resolveOn(own)
  const lend = (
    { acquire, release }: PostgresPool.Pool,
    begin: Transaction.Connections["begin"]
  ): Transaction.Connections => ({
    acquire: (restore, patience) => restore(acquire(patience)),
    release,
    begin,
    retryWhileBusy: Function.identity,
    resolveUnknownCommit
  })
  const live = PostgresBounds.live(holdTimeout)
  return TransactionalClient.make({
    callerStatements: Effect.map(callers.scoped(), (connection) => {
      const epoch = options.epoch()
      return epoch === undefined
        ? connection
        : connection.begunWith({ text: "SELECT caravel_in_epoch($1)", params: [epoch] })
    }),
    callerTransactions: lend(callers, inEpoch(() => PostgresBounds.beginCallers)),
    internal: lend(own, inEpoch(PostgresBounds.beginOwn)),
    longInternal: lend(PostgresPool.waiting(own, { watched: "none" }), inEpoch(() => PostgresBounds.beginLong)),
    liveTransactions: {
      ...lend(callers, inEpoch(() => live.begin)),
      acquire: acquireFor(callers, (connection) => connection.startKeepalives(live.keepaliveInterval, holderBounds))
    },
    // The target of a copy has no epoch yet, and takes no commands.
    commandWriter: lend(writer, (patience) => PostgresBounds.beginWriter(patience, options.epoch()!)),
    compiler: makeCompiler(),
    dialect: postgres,
    spanAttributes: [
      ["db.system.name", "postgresql"],
      ...(host === undefined ? [] : [["server.address", host]] as const)
    ]
  })
}

/** Acquires a connection and prepares it for a kind of transaction. */
const acquireFor = (
  { acquire }: PostgresPool.Pool,
  prepare: (connection: PostgresConnection) => void
): Transaction.Connections["acquire"] =>
(restore, patience) =>
  Effect.map(restore(acquire(patience)), (connection) => {
    prepare(connection)
    return connection
  })

/** How often the outcome of a COMMIT is looked up, if its answer is lost. */
const whileUnknown = Waiting.retryWhile((_: SqlError) => true, Schedule.spaced("250 millis"))

/**
 * Finds out whether a transaction whose COMMIT was not answered has committed. It waits for the append lock, which that
 * transaction holds until it ends, which is before the deadline. However long the COMMIT took, enough time is left.
 */
const resolveOn =
  ({ scoped }: PostgresPool.Pool): Transaction.Connections["resolveUnknownCommit"] => (written, error) => {
    if (!isLost(error.cause)) return Effect.fail(error)
    const [last] = written.slice(-1)
    const unknown = new SqlError({
      message: error.message,
      cause: new StorageError({ reason: "commitUnknown", operation: "commit", cause: error.cause })
    })
    if (last === undefined) return Effect.fail(unknown)
    const since = error.cause instanceof ConnectionLost ? error.cause.since : undefined
    const patience = Patience.make(since === undefined ? since : Math.max(since, performance.now() - longestCommit))
    const lookUp = Effect.gen(function*() {
      const connection = yield* scoped(patience)
      yield* Effect.addFinalizer(() => Effect.ignore(connection.executeRaw("ROLLBACK", [])))
      yield* connection.executeRaw(PostgresBounds.beginOwn(patience), [])
      yield* connection.send(postgres.appendLock)
      const found = yield* connection.executeValues("SELECT 1 FROM caravel_event WHERE id = $1", [last])
      return found.length > 0
    }).pipe(Effect.scoped)
    return whileUnknown(lookUp, patience).pipe(
      Effect.mapError(() => unknown),
      Effect.flatMap((isCommitted) => isCommitted ? Effect.void : Effect.fail(error))
    )
  }
