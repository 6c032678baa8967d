/**
 * How transactions begin on PostgreSQL, and the timeouts that the server enforces: a process that hangs must not block
 * others.
 */
import type { Epoch } from "@caravel/domain"
import { Duration } from "effect"
import { longestWait, type Patience } from "../statement/Patience.js"
import type { Statement } from "../statement/Table.js"
import { longestCommit } from "./AnswerTimeout.js"

/**
 * The statements that begin a transaction. The server ends the transaction of a process that hangs or is cut off, and
 * releases its locks. A transaction sets the timeouts that it relies on, whatever the role's settings are.
 */
const begin = (level: string, settings: { readonly [name: string]: string }) =>
  [
    `BEGIN ISOLATION LEVEL ${level}`,
    ...Object.entries(settings).map(([name, value]) => `SET LOCAL ${name} = '${value}'`)
  ]
    .join("; ")

const watchful = {
  tcp_keepalives_idle: "5",
  tcp_keepalives_interval: "2",
  tcp_keepalives_count: "3",
  tcp_user_timeout: "10000",
  client_connection_check_interval: "1s"
}

/** Bounds every wait for a lock. */
const waiting = (wait: number) => ({ ...watchful, lock_timeout: String(wait) })

/** How a caller's transaction begins. Before its first command no other transaction waits for it. */
export const beginCallers = begin("READ COMMITTED", waiting(longestWait))

/** The server ends the transaction of a stopped process before the deadline of the transactions that wait for it. */
const bounds = { idle_in_transaction_session_timeout: "4s", statement_timeout: "10s" }

/** For copies, restores, imports and rebuilds, which take long. */
const unbounded = { idle_in_transaction_session_timeout: "0", statement_timeout: "0" }

/** How the transaction of a copy, restore, import or rebuild begins. */
export const beginLong = begin("READ COMMITTED", { ...waiting(longestWait), ...unbounded })

/** How long a caller's transaction may be idle after a command, by default. */
export const defaultHoldTimeout = "10 seconds"

/**
 * How long the COMMIT of a caller's transaction may take, in milliseconds. It runs the caller's deferred constraints and
 * triggers, and no timeout of the server bounds these.
 */
export const longestCallersCommit = (holdTimeout: Duration.DurationInput = defaultHoldTimeout): number =>
  Math.max(longestCommit, Duration.toMillis(holdTimeout))

/** The longest timeout of the server, in milliseconds. */
const longestTimeout = 2 ** 31 - 1

/** The timeouts of a caller's transaction after a command. Stricter timeouts of the role or the caller are kept. */
export const holder = (timeout: Duration.Duration): ReadonlyArray<Statement> => {
  if (!Duration.isFinite(timeout)) return []
  const milliseconds = `${Math.min(Math.max(1, Math.ceil(Duration.toMillis(timeout))), longestTimeout)}ms`
  const bound = (name: string) =>
    `set_config('${name}', CASE WHEN current_setting('${name}')::interval BETWEEN '1 microsecond' AND ?::text::interval
      THEN current_setting('${name}') ELSE ? END, true)`
  return [[
    `SELECT ${bound("idle_in_transaction_session_timeout")}, ${bound("statement_timeout")}`,
    [milliseconds, milliseconds, milliseconds, milliseconds]
  ]]
}

/**
 * How the transaction of a consumer's handler begins, and how often, in milliseconds, this process must send a
 * keepalive. Without one the server ends the transaction, so that another process can take over the consumer.
 */
export const live = (timeout: Duration.Duration): { readonly begin: string; readonly keepaliveInterval: number } => {
  // With 0 the server would not bound it.
  const idle = Math.max(1000, Math.ceil(Math.min(Duration.toMillis(timeout), Duration.toMillis(defaultHoldTimeout))))
  return {
    begin: begin("READ COMMITTED", { ...waiting(longestWait), idle_in_transaction_session_timeout: String(idle) }),
    keepaliveInterval: idle / 5
  }
}

/** The longest wait for a lock until the deadline, in quarters of a second, so that few statements differ. */
const lockTimeout = (patience: Patience) =>
  Math.max(1, Math.ceil(Math.min(longestWait, patience.remaining()) / 250)) * 250

const begins = new Map<number, string>()

/** How Caravel's own transaction begins. It waits for locks until the deadline. */
export const beginOwn = (patience: Patience): string => {
  const wait = lockTimeout(patience)
  const known = begins.get(wait)
  if (known !== undefined) return known
  const text = begin("READ COMMITTED", { ...waiting(wait), ...bounds })
  begins.set(wait, text)
  return text
}

const setLocally = Object.entries({ ...watchful, ...bounds })
  .map(([name, value]) => `set_config('${name}', '${value}', true) IS NOT NULL`)

const beginWriting = "BEGIN ISOLATION LEVEL READ COMMITTED"
const boundInEpoch = `SELECT caravel_in_epoch(?)
  WHERE ${[...setLocally, "set_config('lock_timeout', ?, true) IS NOT NULL"].join(" AND ")}`

/**
 * How the writer's transaction begins: the same as one statement, which the server need not parse each time, and which
 * fails if the journal is in another epoch.
 */
export const beginWriter = (patience: Patience, epoch: Epoch): ReadonlyArray<Statement> => [
  [beginWriting, []],
  [boundInEpoch, [epoch, lockTimeout(patience)]]
]

/**
 * How a snapshot begins. TRUNCATE, which a restore uses, empties a table for earlier snapshots too: the lock makes the
 * snapshot wait for the end of the restore.
 */
export const beginSnapshot = `${
  begin("REPEATABLE READ READ ONLY", { ...watchful, ...unbounded })
}; LOCK TABLE caravel_event IN ACCESS SHARE MODE`
