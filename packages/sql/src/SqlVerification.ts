/**
 * Compares the projections with the journal. Events are read by resource, along the index that keeps their versions
 * unique: a row is compared as soon as the last event of its resource is folded, and nothing is kept.
 */
import {
  activityTypeOf,
  type Drift,
  Fold,
  missingEvents,
  NewerEvent,
  Position,
  type ResourceType,
  type StorageError,
  unexpectedRow,
  unexpectedSecret,
  type Verification
} from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Chunk, Effect, Either, Option, ParseResult, Stream } from "effect"
import { Database } from "./Database.js"
import * as GiveWay from "./internal/giveWay.js"
import { toStorageError } from "./SqlError.js"
import type { Statement } from "./Table.js"

/**
 * Mends what has been found, on the connection that it is found on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mender<E> {
  /** Writes the rows of these resources, with references to secrets that are kept. */
  readonly rewrite: (folds: ReadonlyArray<Fold>, options: {
    readonly kept: ReadonlySet<string>
    /** Resources up to this id have been compared, or are in the list. */
    readonly upTo: string
  }) => Effect.Effect<void, E>
  /** Fails, as the event at this position is missing. */
  readonly giveUp: (position: number) => Effect.Effect<never, E>
  /** Deletes what the journal does not know. */
  readonly remove: (from: ResourceType | "secret", ids: ReadonlyArray<string>) => Effect.Effect<void, E>
}

/** How many events or rows are read at a time: some milliseconds' work. */
const pageSize = 512

/** For EXISTS, PostgreSQL may read all events for each page. */
const isThere = (select: string) => `(${select} LIMIT 1) IS NOT NULL`

/**
 * Goes through the journal and then through what it may not know, on a connection that sees one state of the database.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(Database, ({ dialect, rows: { event, relay, secretId, tenant } }) => {
  const positionsAfter = `SELECT position FROM event WHERE position > ? ORDER BY position LIMIT ${pageSize}`
  const eventsAfter = `SELECT ${event.columns()} FROM event
    WHERE (resource_id, resource_type, resource_version) > (?, ?, ?)
    ORDER BY resource_id, resource_type, resource_version LIMIT ${pageSize}`
  // A page ends before the key that the next one begins with.
  const keysFrom = (table: string, key: string, columns: string) =>
    `SELECT ${key}, ${columns} FROM ${table} WHERE ${key} >= ? ORDER BY ${key} LIMIT ${pageSize + 1}`
  const resourcesFrom = (type: ResourceType, key: string) =>
    keysFrom(
      type,
      key,
      isThere(`SELECT 1 FROM event WHERE event.resource_id = ${type}.${key} AND event.resource_type = '${type}'`)
    )
  const resources = {
    tenant: { table: tenant, select: tenant.select("pubkey"), keysFrom: resourcesFrom("tenant", "pubkey") },
    relay: { table: relay, select: relay.select("id"), keysFrom: resourcesFrom("relay", "id") }
  }
  const secretsOf = secretId.select("id")
  const secretsFrom = keysFrom(
    "secret",
    "id",
    `${isThere("SELECT 1 FROM tenant WHERE tenant.nwc_url = secret.id")},
      coalesce((SELECT position FROM event WHERE event.id = secret.id), 0)`
  )

  return <E extends { readonly _tag: string; readonly message: string } = never>(
    connection: Connection,
    operation: string,
    mender?: Mender<E>
  ): Stream.Stream<Verification, StorageError> => {
    const valuesOf = (statements: ReadonlyArray<Statement>) =>
      Effect.map(
        Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
        (pages): ReadonlyArray<ReadonlyArray<any>> => pages.flat()
      )

    /** The rows of these resources by their keys, as far as there are any. */
    const rowsOf = (type: ResourceType, ids: ReadonlyArray<string>) => {
      const { select, table } = resources[type]
      return Effect.map(
        valuesOf(select(ids)),
        (rows) => new Map(rows.map((row) => [String(row[0]), table.decodeFields(row)]))
      )
    }

    const compare = (folds: ReadonlyArray<Fold>, misplaced: Set<string>) =>
      Effect.gen(function*() {
        const idsOf = (type: ResourceType) =>
          folds.filter(({ resourceType }) => resourceType === type).map(({ resourceId }) => resourceId)
        const rows = {
          tenant: yield* rowsOf("tenant", idsOf("tenant")),
          relay: yield* rowsOf("relay", idsOf("relay"))
        }
        const secrets = folds.flatMap(({ isSound, secret }) => isSound && secret !== null ? [secret] : [])
        const kept = new Set((yield* valuesOf(secretsOf(secrets))).map(([id]) => String(id)))
        const different = folds.filter((fold) => {
          const isSame = fold.compare(rows[fold.resourceType].get(fold.resourceId))
          const { isSound, secret } = fold
          if (isSound && secret !== null) {
            if (!kept.has(secret)) fold.lost()
            else if (!isSame) misplaced.add(secret)
          }
          return !isSame || !isSound
        })
        if (mender !== undefined && different.length > 0) {
          yield* mender.rewrite(different, { kept, upTo: folds[folds.length - 1]!.resourceId })
        }
      })

    return Effect.gen(function*() {
      const giveWay = yield* GiveWay.make
      const [[last] = []]: ReadonlyArray<ReadonlyArray<any>> = yield* connection.executeValues(dialect.lastPosition, [])
      const head = Position.make(Number(last))
      const counts = { events: 0, tenants: 0, relays: 0, secrets: 0 }
      let differences: Array<Drift> = []
      const report = (difference: Drift) => void differences.push(difference)

      /** The steps of reading page by page, from a cursor to the next. */
      const steps = <Cursor, E>(first: Cursor, page: (cursor: Cursor) => Effect.Effect<Option.Option<Cursor>, E>) =>
        Stream.paginateEffect(first, (cursor) =>
          Effect.map(Effect.zipLeft(page(cursor), giveWay), (next) => {
            const step: Verification = { ...counts, head, differences }
            differences = []
            return [step, next]
          }))

      let fold: Fold | undefined
      // Secrets that a row should refer to and does not: they are in their place, the row is not in its.
      const misplaced = new Set<string>()

      const events = steps(["", "", 0], (cursor) =>
        Effect.gen(function*() {
          const page: ReadonlyArray<ReadonlyArray<any>> = yield* connection.executeValues(eventsAfter, cursor)
          const finished: Array<Fold> = []
          for (const row of page) {
            const resourceType: ResourceType = row[event.at.resourceType]
            const resourceId: string = row[event.at.resourceId]
            if (fold === undefined || fold.resourceId !== resourceId || fold.resourceType !== resourceType) {
              if (fold !== undefined) finished.push(fold)
              fold = new Fold(resourceType, resourceId, report)
            }
            const decoded = event.decodeRow(row)
            if (Either.isLeft(decoded)) {
              if (decoded.left instanceof NewerEvent) return yield* decoded.left
              fold.addUnreadable({
                position: row[event.at.position],
                version: row[event.at.resourceVersion],
                field: ParseResult.ArrayFormatter.formatErrorSync(decoded.left)[0]?.path.join(".") ?? "payload"
              })
            } else {
              const { _tag, position } = decoded.right
              const activityType = activityTypeOf(_tag)
              const found = row[event.at.activityType]
              fold.add(decoded.right)
              if (found !== activityType) fold.inconsistent(position, "activityType", activityType, found)
            }
          }
          const end = page[page.length - 1]
          if (page.length < pageSize && fold !== undefined) finished.push(fold)
          yield* compare(finished, misplaced)
          counts.events += page.length
          for (const { resourceType } of finished) counts[`${resourceType}s`]++
          return page.length < pageSize || end === undefined
            ? Option.none()
            : Option.some([end[event.at.resourceId], end[event.at.resourceType], end[event.at.resourceVersion]])
        }))

      // Every position that has been given has its event: what is rolled back gives its positions back.
      const holes = steps(0, (after) =>
        Effect.gen(function*() {
          if (counts.events === head) return Option.none()
          const page: ReadonlyArray<ReadonlyArray<any>> = yield* connection.executeValues(positionsAfter, [after])
          const isLast = page.length < pageSize
          let previous = after
          for (const position of [...page.map(([position]) => Number(position)), ...(isLast ? [head + 1] : [])]) {
            if (position > previous + 1) {
              if (mender !== undefined) return yield* mender.giveUp(previous + 1)
              report(missingEvents(Position.make(previous + 1), Position.make(position - 1)))
            }
            previous = position
          }
          return isLast ? Option.none() : Option.some(previous)
        }))

      /** A page of keys with what tells whether they are expected, and the key that the next begins with. */
      const keys = (statement: string, from: string) =>
        Effect.map(
          connection.executeValues(statement, [from]),
          (page: ReadonlyArray<ReadonlyArray<any>>) =>
            [page.slice(0, pageSize), Option.map(Option.fromNullable(page[pageSize]), ([key]) => String(key))] as const
        )

      const unexpectedRows = (type: ResourceType) =>
        steps("", (from) =>
          Effect.gen(function*() {
            const [page, next] = yield* keys(resources[type].keysFrom, from)
            const ids = page.flatMap(([key, known]) => known ? [] : [String(key)])
            for (const [id, row] of yield* rowsOf(type, ids)) report(unexpectedRow(type, id, row))
            counts[`${type}s`] += ids.length
            if (mender !== undefined && ids.length > 0) yield* mender.remove(type, ids)
            return next
          }))

      const unexpectedSecrets = steps("", (from) =>
        Effect.gen(function*() {
          const [page, next] = yield* keys(secretsFrom, from)
          const ids: Array<string> = []
          for (const [id, known, position] of page) {
            if (known || misplaced.has(id)) continue
            ids.push(id)
            report(unexpectedSecret(id, position))
          }
          counts.secrets += page.length
          if (mender !== undefined && ids.length > 0) yield* mender.remove("secret", ids)
          return next
        }))

      return Stream.concatAll(
        Chunk.make(events, holes, unexpectedRows("relay"), unexpectedRows("tenant"), unexpectedSecrets)
      )
    }).pipe(
      Stream.unwrap,
      Stream.mapError((error: SqlError | NewerEvent | E) => toStorageError(dialect, operation)(error))
    )
  }
})
