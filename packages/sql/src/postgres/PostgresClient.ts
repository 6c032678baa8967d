/** Clients of the driver `pg`, which neither throw nor wait without end. */
import { SqlError } from "@effect/sql/SqlError"
import { Clock, Effect } from "effect"
import { EventEmitter } from "node:events"
import Pg from "pg"
import { longestWait } from "../statement/Patience.js"
import { connectErrorOf } from "./PostgresError.js"

/** That no connection was made. */
export const notConnected = (cause: unknown) =>
  new SqlError({ cause: connectErrorOf(cause), message: "Failed to connect" })

/** Where the database is, and how to speak to it. */
export type Config = Pg.PoolConfig

/** If you are cut off from the server, the system tells you after 15 seconds, if nothing is under way. */
const defaults = {
  keepAlive: true,
  keepAliveInitialDelayMillis: 5_000,
  connectionTimeoutMillis: longestWait,
  // Statements do not wait until those before them are answered.
  pipeline: true
}

/** Takes the place of a client that could not be made: connecting fails by why. */
class Unmade extends EventEmitter {
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
 * What a pool makes its clients by, at any time: making one reads the certificates that the URL names, which may be away.
 */
export const constructorOf = (config: Config) =>
  function() {
    try {
      return make(config)
    } catch (cause) {
      return new Unmade(cause)
    }
  } as unknown as new() => Pg.ClientBase

/** Ends in time, although a server that cannot be reached does not say good-bye. */
export const ended = (end: () => Promise<void>) =>
  Effect.ignore(Effect.tryPromise(end)).pipe(
    Effect.interruptible,
    Effect.timeoutOption("1 second"),
    Effect.withClock(Clock.make())
  )
