/**
 * Injects faults into SQLite's driver, below all code of Caravel: the statements of `better-sqlite3` fail, or seem to
 * fail, as the plan says.
 */
import Sqlite from "better-sqlite3"
import { type Fault, type Faults, notify, type Point } from "./Faults.js"
import type { SimulatedHost } from "./SimulatedHost.js"

const points: ReadonlyArray<readonly [start: RegExp, point: Point]> = [
  [/^\s*BEGIN/i, "begin"],
  [/^\s*COMMIT/i, "commit"],
  [/^\s*(SAVEPOINT|RELEASE|ROLLBACK TO)/i, "savepoint"],
  [/^\s*ROLLBACK/i, "rollback"],
  [/^\s*(INSERT|UPDATE|DELETE|REPLACE)/i, "write"],
  [/^\s*(SELECT|WITH|PRAGMA data_version)/i, "read"]
]

const syncing = /^(PRAGMA synchronous = )\w+$/

const codes = {
  busy: "SQLITE_BUSY",
  full: "SQLITE_FULL",
  io: "SQLITE_IOERR_WRITE",
  aborted: "SQLITE_FULL",
  reported: "SQLITE_IOERR_FSYNC"
} as const

type Failing = keyof typeof codes

const isFailing = (effect: Fault["effect"]): effect is Failing => effect in codes

/** Connections that no fault strikes: those of observers. */
export const exempt = new WeakSet<object>()

/** Whether faults are being injected: the driver is replaced for the whole process. */
let installed: {
  readonly faults: Faults
  readonly host: SimulatedHost
  readonly connections: Set<Sqlite.Database>
} | undefined

/** Injects faults until the result is called. It closes the connections that are still open, and returns how many. */
export const install = (faults: Faults, host: SimulatedHost): () => number => {
  replaceDriver()
  const connections = new Set<Sqlite.Database>()
  installed = { faults, host, connections }
  return () => {
    installed = undefined
    const open = [...connections].filter((connection) => connection.open && !exempt.has(connection))
    for (const connection of open) connection.close()
    return open.length
  }
}

let isReplaced = false

const replaceDriver = () => {
  if (isReplaced) return
  isReplaced = true
  const { prepare } = Sqlite.prototype
  const configured = new WeakSet<object>()
  Sqlite.prototype.prepare = function(this: Sqlite.Database, text: string) {
    // The driver's own wait for a lock would stop all of the simulation.
    if (installed !== undefined && !configured.has(this)) {
      configured.add(this)
      installed.connections.add(this)
      installed.host.onConnection()
      prepare.call(this, "PRAGMA busy_timeout = 0").all([])
    }
    // No power is lost here, and nothing waits for the disk.
    return prepare.call(this, installed === undefined ? text : text.replace(syncing, "$1OFF"))
  } as typeof prepare
  const database = new Sqlite(":memory:")
  const statement: object = Object.getPrototypeOf(database.prepare("SELECT 1"))
  database.close()
  for (const method of ["run", "all", "get"] as const) {
    const original = Reflect.get(statement, method) as (...parameters: ReadonlyArray<unknown>) => unknown
    Reflect.set(statement, method, function(this: Sqlite.Statement, ...parameters: ReadonlyArray<unknown>) {
      const run = () => original.apply(this, [...parameters])
      return installed === undefined || exempt.has(this.database) ? run() : interceptAt(this, run, installed)
    })
  }
}

/** The statements that were classified, as matching takes longer than running many of them. */
const known = new Map<string, Point | "timeout" | undefined>()

const pointOf = (text: string): Point | "timeout" | undefined => {
  if (known.has(text)) return known.get(text)
  const point = /^\s*PRAGMA busy_timeout/i.test(text)
    ? "timeout"
    : points.find(([start]) => start.test(text))?.[1]
  known.set(text, point)
  return point
}

const interceptAt = (
  { database, reader, source }: Sqlite.Statement,
  run: () => unknown,
  { faults, host }: NonNullable<typeof installed>
): unknown => {
  const point = pointOf(source)
  if (point === undefined) return run()
  if (point === "timeout") return reader ? [] : { changes: 0, lastInsertRowid: 0 }
  const fault = faults.at(point)
  if (fault === undefined) return committed(point, database, run(), faults, host)
  const { effect, millis = 0 } = fault
  if (!isFailing(effect)) {
    host.elapse(millis)
    return committed(point, database, run(), faults, host)
  }
  // A rollback that fails has ended the transaction nevertheless.
  if (effect === "reported" || point === "rollback") committed(point, database, run(), faults, host)
  if (effect === "aborted" && database.inTransaction) {
    exempt.add(database)
    database.exec("ROLLBACK")
    exempt.delete(database)
  }
  throw new Sqlite.SqliteError(`injected: ${effect} at ${point}`, codes[effect])
}

const committed = <A>(point: Point, { name }: Sqlite.Database, result: A, faults: Faults, host: SimulatedHost): A => {
  if (point === "commit") notify(host, faults, `${name}-wal`)
  return result
}
