import { getSQLiteEventStore, type SQLiteConnection, sqliteProjection } from "@event-driven-io/emmett-sqlite"
import type Database from "better-sqlite3"
import { Effect } from "effect"
import type { Input } from "../Input.js"
import * as Load from "../Load.js"
import * as Row from "../Row.js"
import * as SqliteFile from "../SqliteFile.js"
import type { Subject } from "../Subject.js"

/** The payload of the events. */
export interface Data {
  readonly event: Row.EventRow
  readonly relay?: Row.RelayRow
}

/**
 * Emmett with a stream per relay and an inline projection. Its own driver has to be compiled, so it uses a connection
 * over better-sqlite3 that prepares its statements once. It counts the depth of nested transactions per connection, not
 * per caller, so commands run one at a time.
 */
export const subject: Subject = {
  description: "Emmett, SQLite event store with an inline projection, over better-sqlite3",
  open: (options) =>
    Effect.gen(function*() {
      const connection = connect(yield* SqliteFile.open(options))
      const store = getSQLiteEventStore({
        fileName: options.filename,
        connectionOptions: { singleton: true, connection },
        projections: [{ type: "inline", projection }]
      })
      yield* Effect.promise(() => store.schema.migrate())

      let notified = 0
      const notify = Row.notifier([() => notified++])

      const write = async (input: Input) => {
        const { event, relay } = await decide(connection.querySingle, input)
        const { lastEventGlobalPosition } = await store.appendToStream(
          `relay-${input.id}`,
          [{ type: event.type, data: { event, relay } }]
        )
        notify(Row.activity(Number(lastEventGlobalPosition), event))
      }

      let last: Promise<unknown> = Promise.resolve()
      const execute = (input: Input) => last = last.then(() => write(input))

      return { run: Load.promising(execute), notified: () => notified }
    })
}

/** The event of a command, decided from the tables. */
export const decide = async (querySingle: SQLiteConnection["querySingle"], input: Input): Promise<Data> => {
  if (input._tag === "createRelay") {
    const tenant = await querySingle("SELECT pubkey FROM caravel_tenant WHERE pubkey = ?", [input.tenant])
    if (tenant === null) throw new Error(`no tenant ${input.tenant}`)
    const event = Row.eventRow(input, input.tenant, 1)
    return { event, relay: Row.relayRow(input, event.created_at) }
  }
  const relay = await querySingle<{ tenant: string; version: number }>(
    "SELECT tenant, version FROM caravel_relay WHERE id = ?",
    [input.id]
  )
  if (relay === null) throw new Error(`no relay ${input.id}`)
  return { event: Row.eventRow(input, relay.tenant, Number(relay.version) + 1) }
}

const projection = sqliteProjection<{ type: string; data: Data }>({
  canHandle: ["RelayCreated", "RelayDeactivated"],
  handle: async (events: ReadonlyArray<{ readonly data: Data }>, { connection }: { connection: SQLiteConnection }) => {
    for (const { data: { event, relay } } of events) {
      if (relay === undefined) {
        await connection.command("UPDATE caravel_relay SET status = 'inactive', version = ? WHERE id = ?", [
          event.resource_version,
          event.resource_id
        ])
      } else {
        const columns = Object.keys(relay)
        await connection.command(
          `INSERT INTO caravel_relay (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
          Object.values(relay)
        )
      }
    }
  }
})

/** A connection with Emmett's interface. */
const connect = (db: Database.Database): SQLiteConnection => {
  const statements = new Map<string, Database.Statement>()
  const prepare = (sql: string) => {
    const statement = statements.get(sql) ?? db.prepare(sql)
    statements.set(sql, statement)
    return statement
  }
  const run = (sql: string, values: ReadonlyArray<unknown> = []) => prepare(sql).run(...values.map(bindable))
  let depth = 0
  return {
    close: () => {},
    command: async (sql, values) => run(sql, values),
    batchCommand: async (batch) => batch.forEach((sql) => run(sql)),
    query: async <A>(sql: string, values: ReadonlyArray<unknown> = []) =>
      prepare(sql).all(...values.map(bindable)) as Array<A>,
    querySingle: async <A>(sql: string, values: ReadonlyArray<unknown> = []) =>
      (prepare(sql).get(...values.map(bindable)) ?? null) as A | null,
    withTransaction: async (write) => {
      if (depth++ === 0) run("BEGIN IMMEDIATE")
      try {
        const result = await write()
        if (depth === 1) run("COMMIT")
        return result
      } catch (error) {
        if (depth === 1 && db.inTransaction) run("ROLLBACK")
        throw error
      } finally {
        depth--
      }
    }
  }
}

/** Converts values as the driver for which Emmett is written does. */
const bindable = (value: unknown) => {
  if (typeof value === "boolean") return value ? 1 : 0
  return typeof value === "object" && value !== null ? String(value) : value
}
