/**
 * Checks that the rows beside the journal can be decoded and are consistent: outcomes of idempotency keys, consumers,
 * epochs and imports.
 */
import { type Drift, Epoch, Position, type StorageError } from "@caravel/domain"
import { damagedRow } from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Either, Option, Schema, Stream } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import { consumerFields, leaseFields, parkedFields } from "../schema/ConsumerTables.js"
import { headOf } from "../schema/Head.js"
import * as Tables from "../schema/Tables.js"
import * as EventLoop from "../statement/EventLoop.js"
import * as Table from "../statement/Table.js"
import { fieldOf, positionOf, UnreadableKey } from "./DamagedRows.js"

/** The number of rows read at a time: a few milliseconds of work. */
const pageSize = 512

const consumer = Table.make("caravel_consumer", consumerFields)
const lease = Table.make("caravel_lease", leaseFields)
const parked = Table.make("caravel_parked", parkedFields)
const epoch = Table.make("caravel_epoch", {
  number: Schema.Int,
  epoch: Epoch,
  position: Position,
  startedAt: Table.Instant
})

const first = { text: "", number: Number.MIN_SAFE_INTEGER }

/** An inconsistent field of a decoded row, with its expected and its found value. */
type Fault = readonly [field: string, expected: unknown, found: unknown]

/** A table whose rows are checked in the order of its key. */
interface Checked<A> {
  readonly table: Pick<Table.Table<A>, "name" | "columns" | "at" | "decodeRow">
  readonly key: ReadonlyArray<readonly [column: string, first: string | number]>
  readonly resourceType: Parameters<typeof damagedRow>[1]
  /** The field with the position that a drift of the row reports. */
  readonly position?: keyof A
  /** Expressions that are selected with the row, for `fault`. */
  readonly beside?: ReadonlyArray<string>
  readonly fault?: (row: A, beside: ReadonlyArray<any>, head: Position) => Fault | undefined
}

const checked = <A>(table: Checked<A>) => table as Checked<any>

/**
 * Returns a function that checks the tables beside the journal page by page, on a connection that sees one state of the
 * database, and emits their drifts.
 */
export const make = Effect.map(Database, ({ dialect, tables }) => {
  const toCheck = tablesToCheck(tables)
  return (connection: Connection, operation: string): Stream.Stream<ReadonlyArray<Drift>, StorageError> =>
    Effect.gen(function*() {
      const yieldToEventLoop = yield* EventLoop.make
      const head = yield* Effect.flatMap(connection.executeValues(dialect.lastPosition, []), headOf)
      const pages = (table: Checked<any>) => Stream.tap(driftsIn(connection, table, head), () => yieldToEventLoop)
      return Stream.flatMap(Stream.fromIterable(toCheck), pages)
    }).pipe(
      Stream.unwrap,
      Stream.mapError(toStorageError(dialect, operation))
    )
})

/** The tables to check. */
const tablesToCheck = (
  { idempotency, import: imports, importRefusal }: ReturnType<typeof Tables.make>
): ReadonlyArray<Checked<any>> => [
  checked({
    table: idempotency,
    key: [["id", first.text]],
    resourceType: "idempotency",
    position: "position",
    fault: (row, _, head) =>
      Tables.isOutcome(row, head) ? undefined : ["events", `events up to position ${head}`, row.events]
  }),
  checked({
    table: consumer,
    key: [["name", first.text]],
    resourceType: "consumer",
    position: "position",
    beside: [
      "(SELECT count(*) FROM caravel_epoch WHERE caravel_epoch.epoch = caravel_consumer.epoch)",
      "(SELECT count(*) FROM caravel_lease WHERE caravel_lease.consumer = caravel_consumer.name)"
    ],
    fault: ({ epoch, position, replaysDone, replaysRequested }, [epochs, leases], head) =>
      position > head
        ? ["position", `a position up to ${head}`, position]
        : replaysDone > replaysRequested
        ? ["replaysDone", `at most ${replaysRequested}`, replaysDone]
        : epochs !== 1
        ? ["epoch", "an epoch of the journal", epoch]
        : leases !== 2
        ? ["lease", "two leases", leases]
        : undefined
  }),
  checked({ table: lease, key: [["consumer", first.text], ["task", first.text]], resourceType: "consumer" }),
  checked({
    table: parked,
    key: [["consumer", first.text], ["position", first.number]],
    resourceType: "consumer",
    position: "position",
    beside: [
      `(SELECT count(*) FROM caravel_activity WHERE caravel_activity.position = caravel_parked.position
          AND caravel_activity.resource_type = caravel_parked.resource_type
          AND caravel_activity.resource_id = caravel_parked.resource_id)`
    ],
    fault: ({ position }, [activities]) =>
      activities === 1 ? undefined : ["position", "the position of an activity of this resource", position]
  }),
  checked({
    table: epoch,
    key: [["number", first.number]],
    resourceType: "epoch",
    position: "position",
    beside: ["(SELECT max(number) FROM caravel_epoch)"],
    fault: ({ number, position }, [last], head) =>
      position > head
        ? ["position", `a position up to ${head}`, position]
        // In an unfinished copy, all numbers are negative.
        : number < 1 && last > 0
        ? ["number", "a number of at least 1", number]
        : undefined
  }),
  checked({ table: imports, key: [["id", first.text]], resourceType: "import" }),
  checked({
    table: importRefusal,
    key: [["import", first.text], ["item", first.number]],
    resourceType: "import"
  })
]

/** Reads a table page by page, and emits the drifts of each page. */
const driftsIn = (connection: Connection, checked: Checked<any>, head: Position) => {
  const { key, table } = checked
  const statement = pageOf(checked)
  return Stream.paginateEffect(
    key.map(([, first]): unknown => first),
    (after) =>
      Effect.flatMap(connection.executeValues(statement, after), (page: ReadonlyArray<ReadonlyArray<any>>) => {
        const drifts = page.flatMap((row) => driftOf(checked, row, head) ?? [])
        const next = page[pageSize - 1]?.slice(0, key.length)
        return next?.every((value, index) => value === after[index]) === true
          ? new UnreadableKey({ table: table.name, key: next.join(" ") })
          : Effect.succeed([drifts, Option.fromNullable(next)] as const)
      })
  )
}

/** Selects a page of rows: key columns, row and the expressions beside it. */
const pageOf = ({ beside = [], key, table }: Checked<any>): string => {
  const columns = key.map(([column]) => column).join(", ")
  return `SELECT ${[columns, table.columns(), ...beside].join(", ")} FROM ${table.name}
    WHERE (${columns}) > (${Table.repeat("?", key.length)}) ORDER BY ${columns} LIMIT ${pageSize}`
}

/** The drift of a row, or undefined if there is none. */
const driftOf = (
  { fault, key, position: field, resourceType, table }: Checked<any>,
  selected: ReadonlyArray<unknown>,
  head: Position
): Drift | undefined => {
  const width = Object.keys(table.at).length
  const row = selected.slice(key.length, key.length + width)
  const id = String(selected[0]).slice(0, 100)
  const decoded = table.decodeRow(row)
  const at = field === undefined ? 0 : row[table.at[field as string]!]
  const position = positionOf(at)
  if (Either.isLeft(decoded)) return damagedRow("unreadable", resourceType, id, fieldOf(decoded.left), { position })
  const found = fault?.(decoded.right, selected.slice(key.length + width), head)
  if (found === undefined) return undefined
  return damagedRow("inconsistent", resourceType, id, found[0], { position, expected: found[1], found: found[2] })
}
