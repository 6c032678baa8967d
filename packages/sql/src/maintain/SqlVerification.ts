/**
 * Compares the projections with the journal. Events are read by resource, in the order of the index that keeps their
 * versions unique. A row is compared as soon as the last event of its resource is folded, so no resources are kept in
 * memory.
 */
import {
  type ClockFinding,
  type Drift,
  type Position,
  ResourceType,
  type StorageError,
  type Verification
} from "@caravel/domain"
import {
  activityTypeOf,
  NewerEvent,
  resources,
  ResourceVerifier,
  unattributedEvent,
  unexpectedRow,
  unexpectedSecret
} from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Chunk, Effect, Either, Option, Schema, Stream, String as Str } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import { headOf } from "../schema/Head.js"
import { tableOf } from "../schema/ResourceTables.js"
import type { Unreadable } from "../schema/Tables.js"
import { clockOffset } from "../statement/ClockOffset.js"
import * as EventLoop from "../statement/EventLoop.js"
import { chunked, repeat, type Statement, type Table } from "../statement/Table.js"
import { ClockCheck } from "./ClockCheck.js"
import { Contests } from "./Contests.js"
import { fieldOf } from "./FieldOf.js"
import { PositionCheck } from "./PositionCheck.js"
import type { ProjectionRepair } from "./ProjectionRepair.js"
import { UnreadableKey } from "./UnreadableKey.js"

/** The number of events or rows read at a time: a few milliseconds of work. */
const pageSize = 512

/** Instead of EXISTS, for which PostgreSQL may read all events for each page. */
const isThere = (select: string) => `(${select} LIMIT 1) IS NOT NULL`

const isResourceType = Schema.is(ResourceType)

const resourceTypes = ResourceType.literals

/**
 * Verifies the journal, and then finds rows and secrets without events, on a connection that sees one state of the
 * database.
 */
export const make = Effect.map(Database, ({ clockTolerance, dialect, rows: { event, relay, secretId, tenant } }) => {
  // Imported events keep the instants of their source.
  const instantsAfter = `SELECT position, created_at, latest_at, metadata LIKE '{"correlationId":"import-%'
    FROM caravel_event WHERE position > ? ORDER BY position LIMIT ${pageSize}`
  const eventsAfter = `SELECT ${event.columns()} FROM caravel_event
    WHERE (resource_id, resource_type, resource_version) > (?, ?, ?)
    ORDER BY resource_id, resource_type, resource_version LIMIT ${pageSize}`
  const tenantsCreated = chunked<string>(
    (size) =>
      `SELECT DISTINCT resource_id FROM caravel_event WHERE resource_type = 'tenant' AND resource_id IN (${
        repeat("?", size)
      })`,
    (ids) => ids
  )
  // Selects one key more than a page has: the first key of the next page.
  const keysFrom = (table: string, key: string, columns: string) =>
    `SELECT ${key}, ${columns} FROM ${table} WHERE ${key} >= ? ORDER BY ${key} LIMIT ${pageSize + 1}`
  /**
   * Statements for a type: one selects rows by key, the other selects keys and whether the journal has events of them.
   */
  const readingOf = <A>(type: ResourceType, table: Table<A>, key: keyof A & string) => ({
    select: table.select(key),
    decodeFields: table.decodeFields,
    keysFrom: keysFrom(
      table.name,
      key,
      isThere(
        `SELECT 1 FROM caravel_event AS event
          WHERE event.resource_id = ${table.name}.${key} AND event.resource_type = '${type}'`
      )
    )
  })
  const reading = {
    tenant: readingOf("tenant", tenant, resources.tenant.key),
    relay: readingOf("relay", relay, resources.relay.key)
  }
  const secretsOf = secretId.select("id")
  const isReferred = resourceTypes.flatMap((type) => {
    const { secret } = resources[type]
    return secret === undefined
      ? []
      : isThere(`SELECT 1 FROM ${tableOf(type)} WHERE ${Str.camelToSnake(secret)} = caravel_secret.id`)
  })
  const secretsFrom = keysFrom(
    secretId.name,
    "id",
    `${isReferred.join(" OR ")},
      coalesce((SELECT position FROM caravel_event AS event WHERE event.id = caravel_secret.id), 0)`
  )

  return <E extends { readonly _tag: string; readonly message: string } = never>(
    connection: Connection,
    operation: string,
    repair?: ProjectionRepair<E>
  ): Stream.Stream<Verification, StorageError> => {
    const valuesOf = (statements: ReadonlyArray<Statement>) =>
      Effect.map(
        Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
        (pages): ReadonlyArray<ReadonlyArray<any>> => pages.flat()
      )

    /**
     * The existing rows of these resources, by key. A relay whose subdomain the repair has vacated is returned with
     * that subdomain.
     */
    const rowsOf = (type: ResourceType, ids: ReadonlyArray<string>) => {
      const { decodeFields, select } = reading[type]
      return Effect.map(valuesOf(select(ids)), (rows) =>
        new Map(rows.map((row) => {
          const id = String(row[0])
          const subdomain = type === "relay" ? repair?.vacated.get(id) : undefined
          return [id, { ...decodeFields(row), ...(subdomain !== undefined && { subdomain }) }]
        })))
    }

    return Effect.gen(function*() {
      const yieldToEventLoop = yield* EventLoop.make
      const head = yield* Effect.flatMap(connection.executeValues(dialect.lastPosition, []), headOf)
      const counts = { events: 0, tenants: 0, relays: 0, secrets: 0 }
      let differences: Array<Drift> = []
      const report = (difference: Drift) => void differences.push(difference)
      let clocks: ReadonlyArray<ClockFinding> = dialect.serverTime === undefined
        ? []
        : yield* clockOffset(connection.executeValues(dialect.serverTime, []), clockTolerance)

      /**
       * Reads page by page, and emits a step for each page. `page` returns the cursor of the next page, if there is
       * one.
       */
      const steps = <Cursor, E>(first: Cursor, page: (cursor: Cursor) => Effect.Effect<Option.Option<Cursor>, E>) =>
        Stream.paginateEffect(first, (cursor) =>
          Effect.map(Effect.zipLeft(page(cursor), yieldToEventLoop), (next) => {
            const step: Verification = { ...counts, head, differences, clocks }
            differences = []
            clocks = []
            return [step, next]
          }))

      let current: ResourceVerifier | undefined
      // Secrets that a row should refer to, but does not. These secrets are expected: the drift is the row's.
      const misplaced = new Set<string>()
      const contests = new Contests(report)

      /** Compares rows with their folded events, and rewrites those that differ if there is a repair. */
      const compare = (verified: ReadonlyArray<ResourceVerifier>) =>
        Effect.gen(function*() {
          const idsOf = (type: ResourceType) =>
            verified.filter(({ resourceType }) => resourceType === type).map(({ resourceId }) => resourceId)
          const rows = {
            tenant: yield* rowsOf("tenant", idsOf("tenant")),
            relay: yield* rowsOf("relay", idsOf("relay"))
          }
          const secrets = verified.flatMap(({ isSound, secret }) => isSound && secret !== null ? [secret] : [])
          const kept = new Set((yield* valuesOf(secretsOf(secrets))).map(([id]) => String(id)))
          const different = verified.filter((resource) => {
            const { isSound, resourceId, resourceType, secret } = resource
            const isSame = resource.compare(rows[resourceType].get(resourceId), (id) => kept.has(id))
            if (!isSame && secret !== null && kept.has(secret)) misplaced.add(secret)
            return !isSame || !isSound || resourceType === "relay" && repair?.vacated.has(resourceId) === true
          })
          const relays = different.filter(({ resourceType }) => resourceType === "relay")
          const owners = relays.flatMap(({ row }) => row !== undefined && "tenant" in row ? [row.tenant] : [])
          const created = new Set((yield* valuesOf(tenantsCreated(owners))).map(([id]) => String(id)))
          for (const resource of relays) {
            const { isSound, resourceId, row } = resource
            if (isSound && row !== undefined && "tenant" in row && !created.has(row.tenant)) {
              resource.ownerless(row.tenant)
            }
            if (repair === undefined) contests.add(resource, rows.relay.get(resourceId))
          }
          if (repair !== undefined && different.length > 0) {
            yield* repair.rewrite(different, { kept, upTo: verified[verified.length - 1]!.resourceId })
          }
        })

      const events = steps(["", "", Number.MIN_SAFE_INTEGER], (cursor) =>
        Effect.gen(function*() {
          const page: ReadonlyArray<ReadonlyArray<any>> = yield* connection.executeValues(eventsAfter, cursor)
          const finished: Array<ResourceVerifier> = []
          for (const row of page) {
            const position: Position = row[event.at.position]
            const resourceType: unknown = row[event.at.resourceType]
            const resourceId: string = row[event.at.resourceId]
            if (!isResourceType(resourceType)) {
              if (repair !== undefined) return yield* repair.giveUp(position)
              report(unattributedEvent(position))
              continue
            }
            if (current === undefined || current.resourceId !== resourceId || current.resourceType !== resourceType) {
              if (current !== undefined) finished.push(current)
              current = new ResourceVerifier(resourceType, resourceId, report)
            }
            const decoded = event.decodeRow(row)
            if (Either.isLeft(decoded)) {
              if (decoded.left instanceof NewerEvent) return yield* decoded.left
              current.addUnreadable({ position, version: row[event.at.resourceVersion], field: fieldOf(decoded.left) })
            } else {
              const activityType = activityTypeOf(decoded.right._tag)
              const found = row[event.at.activityType]
              current.add(decoded.right)
              if (found !== activityType) current.inconsistent(position, "activityType", activityType, found)
            }
          }
          const end = page[page.length - 1]
          if (page.length < pageSize && current !== undefined) finished.push(current)
          yield* compare(finished)
          counts.events += page.length
          for (const { resourceType } of finished) counts[resources[resourceType].collection]++
          if (page.length < pageSize || end === undefined) return Option.none()
          const next: typeof cursor = [
            end[event.at.resourceId],
            end[event.at.resourceType],
            end[event.at.resourceVersion]
          ]
          return cursor.every((value, index) => value === next[index])
            ? yield* new UnreadableKey({ table: event.name, key: next.join(" ") })
            : Option.some(next)
        }))

      const contested = Stream.suspend(() =>
        steps(
          Arr.chunksOf(contests.subdomains, pageSize),
          ([subdomains = [], ...rest]) =>
            Effect.map(valuesOf(relay.ofSubdomains(subdomains)), (holders) => {
              for (const [id, subdomain, isKnown] of holders) contests.held(String(id), subdomain, Boolean(isKnown))
              return rest.length === 0 ? Option.none() : Option.some(rest)
            })
        )
      )

      // Every assigned position has an event: a rollback also undoes the assignment.
      const check = new PositionCheck(head, report)
      const clockCheck = new ClockCheck(clockTolerance, report)
      const positions = steps(Number.MIN_SAFE_INTEGER, (after) =>
        Effect.gen(function*() {
          const page: ReadonlyArray<ReadonlyArray<any>> = yield* connection.executeValues(instantsAfter, [after])
          const known = differences.length
          for (const [position] of page) check.add(position)
          if (page.length < pageSize) check.end()
          const wrong = differences[known]
          if (repair !== undefined && wrong !== undefined) {
            return yield* repair.giveUp(Number.parseInt(wrong.resourceId))
          }
          for (const [position, createdAt, latestAt, isImported] of page) {
            clockCheck.add(position, createdAt, latestAt, Boolean(isImported))
          }
          clocks = clockCheck.take()
          if (page.length < pageSize) return Option.none()
          const next = page[pageSize - 1]![0]
          return next > after ? Option.some(next) : yield* new UnreadableKey({ table: event.name, key: `${next}` })
        }))

      /** Reads a page of keys, each with whether it is expected, and the first key of the next page. */
      const keys = (table: string, statement: string, from: string) =>
        Effect.flatMap(connection.executeValues(statement, [from]), (page: ReadonlyArray<ReadonlyArray<any>>) => {
          const next = Option.map(Option.fromNullable(page[pageSize]), ([key]) => String(key))
          return Option.contains(next, from)
            ? new UnreadableKey({ table, key: from })
            : Effect.succeed([page.slice(0, pageSize), next] as const)
        })

      const unexpectedRows = (type: ResourceType) =>
        steps("", (from) =>
          Effect.gen(function*() {
            const [page, next] = yield* keys(type, reading[type].keysFrom, from)
            const ids = page.flatMap(([key, known]) => known ? [] : [String(key)])
            const rows = yield* rowsOf(type, ids)
            for (const id of ids) report(unexpectedRow(type, id, rows.get(id) ?? {}))
            counts[resources[type].collection] += ids.length
            if (repair !== undefined && ids.length > 0) yield* repair.remove(type, ids)
            return next
          }))

      const unexpectedSecrets = steps("", (from) =>
        Effect.gen(function*() {
          const [page, next] = yield* keys("secret", secretsFrom, from)
          const ids: Array<string> = []
          for (const [id, known, position] of page) {
            if (known || misplaced.has(id)) continue
            ids.push(String(id))
            report(unexpectedSecret(String(id), position))
          }
          counts.secrets += page.length
          if (repair !== undefined && ids.length > 0) yield* repair.remove("secret", ids)
          return next
        }))

      return Stream.concatAll(
        Chunk.make(
          events,
          contested,
          positions,
          // A tenant can be deleted only after its relays.
          unexpectedRows("relay"),
          unexpectedRows("tenant"),
          unexpectedSecrets
        )
      )
    }).pipe(
      Stream.unwrap,
      Stream.mapError((error: SqlError | Unreadable | UnreadableKey | E) => toStorageError(dialect, operation)(error))
    )
  }
})
