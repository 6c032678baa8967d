/** What a verification reads, page by page, on a connection that sees one state of the database. */
import { type Position, ResourceType } from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Function, Option, type ParseResult, String as Str } from "effect"
import { Database } from "../database/Database.js"
import { headOf } from "../schema/Head.js"
import { tableOf } from "../schema/ResourceTables.js"
import { chunked, repeat, type Statement } from "../statement/Table.js"
import { UnreadableKey } from "./DamagedRows.js"

/** The number of events or rows read at a time: a few milliseconds of work. */
export const pageSize = 512

type Rows = ReadonlyArray<ReadonlyArray<any>>

/** The key of an event in the order in which events are read. */
export type EventKey = readonly [resourceId: string, resourceType: string, resourceVersion: number]

/** A row that may be damaged. */
type Fields = { readonly [field: string]: unknown }

/** The reads of a verification. A page of fewer than `pageSize` rows is the last. */
export interface VerificationReader {
  readonly head: Effect.Effect<Position, SqlError | ParseResult.ParseError>
  /** Events by resource, in the order of the index that keeps their versions unique. */
  readonly eventsAfter: (key: EventKey) => Effect.Effect<Rows, SqlError>
  /** The position, `createdAt` and `latestAt` of events, and whether they were imported, by position. */
  readonly instantsAfter: (position: number) => Effect.Effect<Rows, SqlError>
  /** The existing rows of these resources, by key. */
  readonly rowsOf: (type: ResourceType, ids: ReadonlyArray<string>) => Effect.Effect<Map<string, Fields>, SqlError>
  /** Those of these tenants that the journal has. */
  readonly tenantsCreated: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlySet<string>, SqlError>
  /** Those of these secrets that exist. */
  readonly existingSecrets: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlySet<string>, SqlError>
  /** The relays that have these subdomains, and whether the journal has events of them. */
  readonly relaysWith: (subdomains: ReadonlyArray<string>) => Effect.Effect<Rows, SqlError>
  /**
   * A page of the keys from this one on, and the first key of the next page. With each key comes whether the row is
   * expected, and with a secret's also the position of its event, or 0.
   */
  readonly keysFrom: (
    table: ResourceType | "secret",
    key: string
  ) => Effect.Effect<readonly [page: Rows, next: Option.Option<string>], SqlError | UnreadableKey>
}

/** Returns a function that reads on a connection. */
export const make = Effect.map(Database, ({ dialect, tables: { event, relay, secretId, tenant } }) => {
  const eventsAfter = `SELECT ${event.columns()} FROM caravel_event
    WHERE (resource_id, resource_type, resource_version) > (?, ?, ?)
    ORDER BY resource_id, resource_type, resource_version LIMIT ${pageSize}`
  const selectRows = {
    tenant: tenant.select(resources.tenant.key),
    relay: relay.select(resources.relay.key)
  }
  const decodeFields = { tenant: tenant.decodeFields, relay: relay.decodeFields }
  const secretsOf = secretId.select("id")

  return (connection: Connection): VerificationReader => {
    const valuesOf = (statements: ReadonlyArray<Statement>) =>
      Effect.map(
        Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
        (pages): Rows => pages.flat()
      )
    const idsOf = (statements: ReadonlyArray<Statement>) =>
      Effect.map(valuesOf(statements), (rows) => new Set(rows.map(([id]) => String(id))))

    return {
      head: Effect.flatMap(connection.executeValues(dialect.lastPosition, []), headOf),
      eventsAfter: (key) => connection.executeValues(eventsAfter, key),
      instantsAfter: (position) => connection.executeValues(instantsAfter, [position]),
      rowsOf: (type, ids) =>
        Effect.map(
          valuesOf(selectRows[type](ids)),
          (rows) => new Map(rows.map((row) => [String(row[0]), decodeFields[type](row)]))
        ),
      tenantsCreated: (ids) => idsOf(selectCreated(ids)),
      existingSecrets: (ids) => idsOf(secretsOf(ids)),
      relaysWith: (subdomains) => valuesOf(relay.ofSubdomains(subdomains)),
      keysFrom: (table, key) =>
        Effect.flatMap(connection.executeValues(keysFrom[table], [key]), (page: Rows) => {
          const next = Option.map(Option.fromNullable(page[pageSize]), ([key]) => String(key))
          return Option.contains(next, key)
            ? new UnreadableKey({ table, key })
            : Effect.succeed([page.slice(0, pageSize), next] as const)
        })
    }
  }
})

// Imported events keep the instants of their source. Their metadata begins with the id of an import.
const instantsAfter = `SELECT position, created_at, latest_at, substr(metadata, 1, 58) IN
    (SELECT '{"correlationId":"import-' || substr(id, 1, 32) || '"' FROM caravel_import)
  FROM caravel_event WHERE position > ? ORDER BY position LIMIT ${pageSize}`

const selectCreated = chunked<string>(
  (size) =>
    `SELECT DISTINCT resource_id FROM caravel_event
      WHERE resource_type = 'tenant' AND resource_id IN (${repeat("?", size)})`,
  Function.identity
)

/** Instead of EXISTS, for which PostgreSQL may read all events for each page. */
const isThere = (select: string) => `(${select} LIMIT 1) IS NOT NULL`

/** Selects one key more than a page has: the first key of the next page. */
const selectKeys = (table: string, key: string, columns: string) =>
  `SELECT ${key}, ${columns} FROM ${table} WHERE ${key} >= ? ORDER BY ${key} LIMIT ${pageSize + 1}`

/** Selects keys, and whether the journal has events of them. */
const resourcesFrom = (type: ResourceType) => {
  const [table, { key }] = [tableOf(type), resources[type]]
  return selectKeys(
    table,
    key,
    isThere(`SELECT 1 FROM caravel_event AS event
      WHERE event.resource_id = ${table}.${key} AND event.resource_type = '${type}'`)
  )
}

const isReferred = ResourceType.literals.flatMap((type) => {
  const { secret } = resources[type]
  return secret === undefined
    ? []
    : isThere(`SELECT 1 FROM ${tableOf(type)} WHERE ${Str.camelToSnake(secret)} = caravel_secret.id`)
})

const keysFrom = {
  tenant: resourcesFrom("tenant"),
  relay: resourcesFrom("relay"),
  secret: selectKeys(
    "caravel_secret",
    "id",
    `${isReferred.join(" OR ")},
      coalesce((SELECT position FROM caravel_event AS event WHERE event.id = caravel_secret.id), 0)`
  )
}
