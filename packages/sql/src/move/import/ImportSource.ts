/** Reads another Caravel-style database for an import: from one snapshot, page by page, without writing to it. */
import type { EventId } from "@caravel/domain"
import type { RelayRow, TenantRow, Why } from "@caravel/domain/adapter"
import SqliteDatabase from "better-sqlite3"
import { Effect, Either, type Scope, String as Str } from "effect"
import { createHash, hash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { decodeTables, isCaravel, selectTables } from "../../schema/migrations/adopt.js"
import { isUrl } from "../../sqlite/DatabaseFile.js"
import * as EventLoop from "../../statement/EventLoop.js"
import type * as Table from "../../statement/Table.js"
import { activityItem, type Item, malformed, rowItem, uuidOf, type Values } from "./SourceItems.js"
import { activity, exact, relay, required, tenant } from "./SourceTables.js"
import { UnusableSource } from "./UnusableSource.js"

/** Items that are imported together, and the tenants and relays that they concern. */
export interface Page {
  readonly items: ReadonlyArray<Item>
  readonly tenants: ReadonlyMap<string, Either.Either<TenantRow, Why>>
  readonly relays: ReadonlyMap<string, Either.Either<RelayRow, Why>>
}

/** An opened source. */
export interface Source {
  /** The absolute path. */
  readonly filename: string
  /** A hash of all rows that are imported. The same rows have the same id. */
  readonly id: string
  /** The number of items: activities, tenants and relays, which are read in this order. */
  readonly total: number
  /** Columns of the source that Caravel does not know. */
  readonly ignored: ReadonlyArray<string>
  /** Derives an event's id from a name, if no activity has an id for it. */
  readonly idOf: (name: string) => EventId
  /** Skips the first `items` items, and returns the effect that reads the next page. An empty page is the end. */
  readonly pagesAfter: (
    items: number
  ) => Effect.Effect<Effect.Effect<Page, UnusableSource>, UnusableSource, Scope.Scope>
}

/** The number of items on a page: a few milliseconds of work. */
const pageSize = 1024

/** Columns that are neither imported nor reported as ignored. */
const passedOver = ["version", "position"]

/** Opens a source. Until the scope closes, all reads see its state at this moment. */
export const open = (file: string): Effect.Effect<Source, UnusableSource, Scope.Scope> =>
  Effect.gen(function*() {
    if (isUrl(file)) {
      const detail = "it is a URL, not the name of an SQLite file"
      return yield* new UnusableSource({ filename: "The source", reason: "unreadable", detail })
    }
    const filename = path.resolve(file)
    const unusable: Unusable = (reason, detail = "") => new UnusableSource({ filename, reason, detail })
    // The driver would open another file.
    if (file.trim() !== file) return yield* unusable("unreadable", "its name begins or ends with white space")
    const reading: Reading = (read) =>
      Effect.try({
        try: read,
        catch: (cause) => unusable("unreadable", cause instanceof Error ? cause.message : `${cause}`)
      })

    const stat = yield* reading(() => fs.statSync(filename, { throwIfNoEntry: false }))
    if (stat === undefined) return yield* unusable("missing")
    if (stat.isDirectory()) return yield* unusable("unreadable", "it is a directory")
    const db = yield* Effect.acquireRelease(
      reading(() => new SqliteDatabase(filename, { readonly: true, fileMustExist: true, timeout: 1000 })),
      (db) => Effect.sync(() => db.close())
    )
    const columnsOf = yield* reading(() => {
      db.exec("BEGIN")
      const names = db.prepare("SELECT lower(name) FROM pragma_table_xinfo(?)").pluck()
      return (table: string) => names.all(table) as ReadonlyArray<string>
    })
    const tables = yield* reading(() => decodeTables(db.prepare(selectTables).all()))
    // The file may hold another program's tables beside Caravel's. A table `activity` is the other program's: Caravel's
    // own was a view.
    if (isCaravel(tables) && !tables.has(activity.name)) return yield* unusable("caravel")

    const known = yield* Either.all(
      [activity, tenant, relay].map((table) => columnsIn(table, columnsOf(table.name), unusable))
    )
    const [activities, tenants, relays] = known.map(({ select }) => select) as [string, string, string]
    const order = columnsOf("activity").includes("position") ? "position" : "created_at"
    // A table WITHOUT ROWID has no rowid to sort by.
    const isNumbered = Either.isRight(Either.try(() => db.prepare("SELECT rowid FROM activity")))
    const log = `${activities} ORDER BY ${order}${isNumbered ? ", rowid" : ""}`

    const { counts, id } = yield* digest(
      [log, `${tenants} ORDER BY pubkey`, `${relays} ORDER BY id`],
      (statement) => cursor(reading, () => rowsOf(db, statement))
    )
    const idOf = (name: string) => uuidOf(hash("sha256", `${id} ${name}`))
    const pageOf = pages(lookUp(db, tenant, "pubkey", tenants), lookUp(db, relay, "id", relays))

    return {
      filename,
      id,
      ignored: known.flatMap(({ ignored }) => ignored),
      total: counts.reduce((sum, count) => sum + count, 0),
      idOf,
      pagesAfter: (items) =>
        Effect.map(
          cursor(reading, function*() {
            const [ofLog, ofTenants, ofRelays] = counts.map((count) => {
              const skipped = Math.min(items, count)
              items -= skipped
              return skipped
            })
            for (const row of rowsOf(db, log, ofLog)) yield activityItem(row, idOf)
            for (const row of rowsOf(db, numbered("tenant", "pubkey"), ofTenants)) yield rowItem("tenant", row)
            for (const row of rowsOf(db, numbered("relay", "id"), ofRelays)) yield rowItem("relay", row)
          }),
          Effect.flatMap((items) => reading(() => pageOf(items)))
        )
    }
  })

type Unusable = (reason: UnusableSource["reason"], detail?: string) => UnusableSource

type Reading = <A>(read: () => A) => Effect.Effect<A, UnusableSource>

/**
 * Selects a table's known columns, with NULL for the optional ones that are missing. Fails if a required one is
 * missing.
 */
const columnsIn = (table: Table.Table<any>, columns: ReadonlyArray<string>, unusable: Unusable) => {
  if (columns.length === 0) return Either.left(unusable("table", table.name))
  const fields = Object.keys(table.at)
  const missing = fields.filter((field) => !columns.includes(Str.camelToSnake(field)))
  const lacking = missing.find((field) => required[table.name]!.includes(field))
  if (lacking !== undefined) return Either.left(unusable("column", `${table.name}.${Str.camelToSnake(lacking)}`))
  const known = [...passedOver, ...fields.map(Str.camelToSnake)]
  const replaced = { ...exact[table.name], ...Object.fromEntries(missing.map((field) => [field, "NULL"])) }
  return Either.right({
    select: `SELECT ${table.columns(replaced)} FROM ${table.name}`,
    ignored: columns.filter((column) => !known.includes(column)).map((column) => `${table.name}.${column}`)
  })
}

/** Counts the rows of each table, and hashes all of them. */
const digest = (
  statements: ReadonlyArray<string>,
  read: (
    statement: string
  ) => Effect.Effect<Effect.Effect<ReadonlyArray<Values>, UnusableSource>, UnusableSource, Scope.Scope>
) =>
  Effect.gen(function*() {
    const hash = createHash("sha256")
    const counts: Array<number> = []
    const yieldToEventLoop = yield* EventLoop.make
    for (const statement of statements) {
      const next = yield* read(statement)
      let count = 0
      for (let page = yield* next; page.length > 0; page = yield* next) {
        for (const row of page) hash.update(`${JSON.stringify(row)}\n`)
        count += page.length
        yield* yieldToEventLoop
      }
      hash.update("\n")
      counts.push(count)
    }
    return { counts, id: hash.digest("hex") }
  })

type LookUp<A> = (keys: ReadonlySet<string>) => ReadonlyMap<string, Either.Either<A, Why>>

/**
 * Returns the rows with these keys. If several rows have the same key, it returns the first; the others are refused
 * when the import reaches them.
 */
const lookUp = <A>(
  db: SqliteDatabase.Database,
  table: Table.Table<A>,
  key: keyof A & string,
  select: string
): LookUp<A> => {
  const statement = db.prepare(`${select} WHERE ${key} IN (SELECT value FROM json_each(?))`).raw(true)
  return (keys) => {
    const rows = statement.all(JSON.stringify([...keys])) as ReadonlyArray<Values>
    return new Map(
      rows.toReversed().map((row) => [`${row[table.at[key]]}`, Either.mapLeft(table.decodeRow(row), malformed)])
    )
  }
}

/** Builds a page: the items, the rows that they concern, and the tenants of these rows. */
const pages = (tenants: LookUp<TenantRow>, relays: LookUp<RelayRow>) => (items: ReadonlyArray<Item>): Page => {
  const pubkeys = new Set<string>()
  const ids = new Set<string>()
  for (const { key, row, table } of items) {
    if (Either.isLeft(row)) continue
    const { resourceId, resourceType } = row.right ?? { resourceId: key, resourceType: table }
    if (resourceType === "tenant") pubkeys.add(resourceId)
    else ids.add(resourceId)
  }
  const found = relays(ids)
  for (const row of found.values()) if (Either.isRight(row)) pubkeys.add(row.right.tenant)
  return { items, relays: found, tenants: tenants(pubkeys) }
}

const rowsOf = (db: SqliteDatabase.Database, statement: string, skipped = 0) =>
  db.prepare(`${statement} LIMIT -1 OFFSET ?`).raw(true).iterate(skipped) as IterableIterator<Values>

/** Selects the keys of a table, each with the number of its row among the rows with the same key. */
const numbered = (table: string, key: string) =>
  `SELECT ${key}, row_number() OVER (PARTITION BY ${key}) FROM ${table} ORDER BY ${key}`

/** Returns an effect that takes the next page from an iterator. The scope closes the iterator. */
const cursor = <A>(
  reading: Reading,
  iterate: () => Iterator<A>
): Effect.Effect<Effect.Effect<ReadonlyArray<A>, UnusableSource>, UnusableSource, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(reading(iterate), (iterator) => Effect.sync(() => iterator.return?.())),
    (iterator) =>
      reading(() => {
        const page: Array<A> = []
        while (page.length < pageSize) {
          const next = iterator.next()
          if (next.done === true) break
          page.push(next.value)
        }
        return page
      })
  )
