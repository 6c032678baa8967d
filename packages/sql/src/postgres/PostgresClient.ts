/** Clients of the driver `pg` that neither throw nor wait forever. */
import { SqlError } from "@effect/sql/SqlError"
import { Clock, Effect } from "effect"
import { EventEmitter } from "node:events"
import Pg from "pg"
import { longestWait } from "../statement/Patience.js"
import { connectErrorOf } from "./PostgresError.js"

/** The error of a failed connection attempt. */
export const notConnected = (cause: unknown) =>
  new SqlError({ cause: connectErrorOf(cause), message: "Failed to connect" })

/** The driver's configuration. */
export type Config = Pg.PoolConfig

/** On an idle connection, the system reports a lost server after 15 seconds. */
const defaults = {
  keepAlive: true,
  keepAliveInitialDelayMillis: 5_000,
  connectionTimeoutMillis: longestWait,
  // Statements are sent before earlier ones are answered.
  pipeline: true
}

/** Stands in for a client that could not be made: connecting fails with the cause. */
class FailedClient extends EventEmitter {
  private readonly cause: unknown
  constructor(cause: unknown) {
    super()
    this.cause = cause
  }
  connect(whenConnected: (cause: unknown) => void): void {
    process.nextTick(whenConnected, this.cause)
  }
  end(whenEnded: () => void): void {
    process.nextTick(whenEnded)
  }
}

/** A client that is not connected yet. */
export const make = (config: Config): Pg.Client => new Pg.Client({ ...config, ...defaults })

/**
 * Returns the constructor that a pool makes its clients with. It does not throw, but returns a `FailedClient`, if the
 * certificates that the URL names cannot be read.
 */
export const constructorOf = (config: Config) =>
  function() {
    try {
      return make(config)
    } catch (cause) {
      return new FailedClient(cause)
    }
  } as unknown as new() => Pg.ClientBase

/** Ends a client or a pool, within one second even if the server is unreachable. */
export const ended = (end: () => Promise<void>) =>
  Effect.ignore(Effect.tryPromise(end)).pipe(
    Effect.interruptible,
    Effect.timeoutOption("1 second"),
    Effect.withClock(Clock.make())
  )
