/** Reads a snapshot of a database for a copy: its stored rows, page by page. */
import { type Epoch, type Position, type StorageError } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Option, type Scope, Stream } from "effect"
import type { Database } from "../../database/Database.js"
import { toStorageError } from "../../database/StorageErrors.js"
import * as Epochs from "../../schema/Epochs.js"
import { headOf } from "../../schema/Head.js"
import * as EventLoop from "../../statement/EventLoop.js"
import { repeat } from "../../statement/Table.js"

/** The number of rows read and written at a time: a few milliseconds of work. */
const pageSize = 512

/** The values of a row, by column. */
export type Row = Readonly<Record<string, unknown>>

/** A table whose rows are copied as they are stored, in the order of its key. */
export interface Copyable {
  readonly name: string
  readonly key: ReadonlyArray<string>
  /** Values that sort before every key. */
  readonly first: ReadonlyArray<unknown>
  readonly where?: string
}

/** The table of the journal. */
export const events: Copyable = { name: "caravel_event", key: ["position"], first: [0] }

/** The tables beside the journal that are copied, in the order of their foreign keys. */
export const auxiliaryTables: ReadonlyArray<Copyable> = [
  // Secrets in clear come first: a trigger rejects them once one is encrypted.
  { name: "caravel_secret", key: ["id"], first: [""], where: "key_id IS NULL" },
  { name: "caravel_secret", key: ["id"], first: [""], where: "key_id IS NOT NULL" },
  { name: "caravel_idempotency", key: ["id"], first: [""] },
  { name: "caravel_import", key: ["id"], first: [""] },
  { name: "caravel_import_refusal", key: ["import", "item"], first: ["", 0] },
  { name: "caravel_consumer", key: ["name"], first: [""] },
  { name: "caravel_parked", key: ["consumer", "position"], first: ["", 0] }
]

/** The names of the tables beside the journal, in the same order. Leases are not copied. */
export const auxiliaryNames: ReadonlyArray<string> = [
  ...new Set(auxiliaryTables.map(({ name }) => name)),
  "caravel_lease"
]

/** A snapshot of the source. */
export interface Source {
  readonly identity: unknown
  readonly epoch: Epoch
  /** The rows of its epochs, oldest first. */
  readonly epochs: ReadonlyArray<Row>
  readonly head: Position
  /** The id of the event at a position. */
  readonly eventAt: (position: number) => Effect.Effect<unknown, StorageError>
  readonly pages: (table: Copyable, after?: ReadonlyArray<unknown>) => Stream.Stream<ReadonlyArray<Row>, StorageError>
  readonly tenants: number
  readonly relays: number
  readonly secrets: number
}

/** Opens a snapshot of a database. */
export const make = (
  database: typeof Database.Service,
  operation = "copy"
): Effect.Effect<Source, StorageError, Scope.Scope> =>
  Effect.gen(function*() {
    const { dialect } = database
    const yieldToEventLoop = yield* EventLoop.make
    const toError = Effect.mapError(toStorageError(dialect, operation))
    const connection = yield* database.snapshot
    const value = (text: string, params: ReadonlyArray<unknown> = []) => toError(valueOf(connection, text, params))
    const count = (table: string) => Effect.map(value(`SELECT count(*) FROM ${table}`), Number)
    const head = yield* toError(Effect.flatMap(connection.executeValues(dialect.lastPosition, []), headOf))
    return {
      identity: yield* value(dialect.identity),
      epoch: yield* toError(Effect.flatMap(connection.executeValues(Epochs.currentEpoch, []), Epochs.decodeCurrent)),
      epochs: yield* toError(connection.execute("SELECT * FROM caravel_epoch ORDER BY number", [], undefined)),
      head,
      eventAt: (position) => value(eventAt, [position]),
      pages: ({ first, key, name, where = "true" }, after = first) => {
        const columns = key.join(", ")
        const text = `SELECT * FROM ${name} WHERE ${where} AND (${columns}) > (${repeat("?", key.length)})
          ORDER BY ${columns} LIMIT ${pageSize}`
        const pages = Stream.paginateEffect(
          after,
          (after) =>
            Effect.map(toError(connection.execute(text, after, undefined)), (rows: ReadonlyArray<Row>) => {
              const last = rows[pageSize - 1]
              return [rows, last === undefined ? Option.none() : Option.some(key.map((column) => last[column]))]
            })
        )
        return Stream.tap(pages, () => yieldToEventLoop)
      },
      tenants: yield* count("caravel_tenant"),
      relays: yield* count("caravel_relay"),
      secrets: yield* count("caravel_secret")
    }
  })

/** Selects the id of the event at a position. */
export const eventAt = "SELECT id FROM caravel_event WHERE position = ?"

/** Returns the only value that a statement selects. */
export const valueOf = (connection: Connection, text: string, params: ReadonlyArray<unknown> = []) =>
  Effect.map(
    connection.executeValues(text, params),
    ([row]: ReadonlyArray<ReadonlyArray<unknown>>): unknown => row?.[0]
  )
