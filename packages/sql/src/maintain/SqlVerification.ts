/**
 * Compares the projections with the journal. Events are read by resource, in the order of the index that keeps their
 * versions unique. A row is compared as soon as the last event of its resource is folded, so no resources are kept in
 * memory.
 */
import { type Drift, type Position, ResourceType, type StorageError, type Verification } from "@caravel/domain"
import {
  resources,
  type ResourceVerifier,
  unattributedEvent,
  unexpectedRow,
  unexpectedSecret
} from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Chunk, type Duration, Effect, Option, Schema, Stream } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import type { Unreadable } from "../schema/Tables.js"
import { clockOffset } from "../statement/ClockOffset.js"
import * as EventLoop from "../statement/EventLoop.js"
import { ClockCheck } from "./ClockCheck.js"
import { Contests } from "./Contests.js"
import { UnreadableKey } from "./DamagedRows.js"
import { EventCheck, type EventTable } from "./EventCheck.js"
import { Findings } from "./Findings.js"
import { PositionCheck } from "./PositionCheck.js"
import type { ProjectionRepair } from "./ProjectionRepair.js"
import * as VerificationReader from "./VerificationReader.js"

const { pageSize } = VerificationReader

/**
 * Verifies the journal, and then finds rows and secrets without events, on a connection that sees one state of the
 * database.
 */
export const make = Effect.zipWith(
  Database,
  VerificationReader.make,
  ({ clockTolerance, dialect, tables: { event } }, readOn) =>
  <E extends { readonly _tag: string; readonly message: string } = never>(
    connection: Connection,
    operation: string,
    repair?: ProjectionRepair<E>
  ): Stream.Stream<Verification, StorageError> =>
    Effect.gen(function*() {
      const yieldToEventLoop = yield* EventLoop.make
      const read = readOn(connection)
      const head = yield* read.head
      const findings = new Findings(
        head,
        dialect.serverTime === undefined
          ? []
          : yield* clockOffset(connection.executeValues(dialect.serverTime, []), clockTolerance)
      )
      const contests = new Contests(findings.report)
      const run: Run<E> = { read, findings, contests, misplaced: new Set(), repair, yieldToEventLoop }
      return Stream.concatAll(
        Chunk.make(
          events(run, event),
          contested(run),
          // Every assigned position has an event: a rollback also undoes the assignment.
          positions(run, head, clockTolerance),
          // A tenant can be deleted only after its relays.
          unexpectedRows(run, "relay"),
          unexpectedRows(run, "tenant"),
          unexpectedSecrets(run)
        )
      )
    }).pipe(
      Stream.unwrap,
      Stream.mapError((error: SqlError | Unreadable | UnreadableKey | E) => toStorageError(dialect, operation)(error))
    )
)

/** A running verification. */
interface Run<E> {
  readonly read: VerificationReader.VerificationReader
  readonly findings: Findings
  readonly contests: Contests
  /** Secrets that a row should refer to, but does not. These secrets are expected: the drift is the row's. */
  readonly misplaced: Set<string>
  readonly repair: ProjectionRepair<E> | undefined
  readonly yieldToEventLoop: Effect.Effect<void>
}

/** Reads page by page, and emits a step for each page. `page` returns the cursor of the next page, if there is one. */
const steps = <Cursor, E>(
  { findings, yieldToEventLoop }: Run<unknown>,
  first: Cursor,
  page: (cursor: Cursor) => Effect.Effect<Option.Option<Cursor>, E>
) =>
  Stream.paginateEffect(first, (cursor) =>
    Effect.map(
      Effect.zipLeft(page(cursor), yieldToEventLoop),
      (next): [Verification, Option.Option<Cursor>] => [findings.take(), next]
    ))

const isResourceType = Schema.is(ResourceType)

/** Folds the events, and compares each resource's row. */
const events = <E>(run: Run<E>, table: EventTable) => {
  const { at, name } = table
  const { findings: { counts, report }, read, repair } = run
  const check = new EventCheck(table, report)
  const first: VerificationReader.EventKey = ["", "", Number.MIN_SAFE_INTEGER]
  return steps(run, first, (cursor) =>
    Effect.gen(function*() {
      const page = yield* read.eventsAfter(cursor)
      for (const row of page) {
        const resourceType: unknown = row[at.resourceType]
        if (!isResourceType(resourceType)) {
          const position = row[at.position]
          if (repair !== undefined) return yield* repair.giveUp(position)
          report(unattributedEvent(position))
          continue
        }
        const newer = check.add(row, resourceType)
        if (newer !== undefined) return yield* newer
      }
      const last = page[pageSize - 1]
      if (last === undefined) check.end()
      const finished = check.take()
      yield* compare(run, finished)
      counts.events += page.length
      for (const { resourceType } of finished) counts[resources[resourceType].collection]++
      if (last === undefined) return Option.none()
      const next = [last[at.resourceId], last[at.resourceType], last[at.resourceVersion]] as const
      return cursor.every((value, index) => value === next[index])
        ? yield* new UnreadableKey({ table: name, key: next.join(" ") })
        : Option.some(next)
    }))
}

/** Compares rows with their folded events, and rewrites those that differ when repairing. */
const compare = <E>(run: Run<E>, verified: ReadonlyArray<ResourceVerifier>) =>
  Effect.gen(function*() {
    const { contests, misplaced, read, repair } = run
    const idsOf = (type: ResourceType) =>
      verified.filter(({ resourceType }) => resourceType === type).map(({ resourceId }) => resourceId)
    const rows = {
      tenant: yield* rowsOf(run, "tenant", idsOf("tenant")),
      relay: yield* rowsOf(run, "relay", idsOf("relay"))
    }
    const kept = yield* read.existingSecrets(
      verified.flatMap(({ isSound, secret }) => isSound && secret !== null ? [secret] : [])
    )
    const different = verified.filter((resource) => {
      const { isSound, resourceId, resourceType, secret } = resource
      const isSame = resource.compare(rows[resourceType].get(resourceId), (id) => kept.has(id))
      if (!isSame && secret !== null && kept.has(secret)) misplaced.add(secret)
      return !isSame || !isSound || resourceType === "relay" && repair?.vacated.has(resourceId) === true
    })
    const relays = different.filter(({ resourceType }) => resourceType === "relay")
    const created = yield* read.tenantsCreated(
      relays.flatMap(({ row }) => row !== undefined && "tenant" in row ? [row.tenant] : [])
    )
    for (const resource of relays) {
      const { isSound, resourceId, row } = resource
      if (isSound && row !== undefined && "tenant" in row && !created.has(row.tenant)) resource.ownerless(row.tenant)
      if (repair === undefined) contests.add(resource, rows.relay.get(resourceId))
    }
    if (repair !== undefined && different.length > 0) {
      yield* repair.rewrite(different, { kept, upTo: verified[verified.length - 1]!.resourceId })
    }
  })

/**
 * The existing rows of these resources, by key. A relay whose subdomain the repair has vacated is returned with that
 * subdomain.
 */
const rowsOf = <E>({ read, repair }: Run<E>, type: ResourceType, ids: ReadonlyArray<string>) =>
  Effect.map(read.rowsOf(type, ids), (rows) => {
    if (repair === undefined || type !== "relay") return rows
    for (const [id, row] of rows) {
      const subdomain = repair.vacated.get(id)
      if (subdomain !== undefined) rows.set(id, { ...row, subdomain })
    }
    return rows
  })

/** Finds the relays that have a subdomain which the journal assigns to another relay too. */
const contested = <E>(run: Run<E>) =>
  Stream.suspend(() =>
    steps(
      run,
      Arr.chunksOf(run.contests.subdomains, pageSize),
      ([subdomains = [], ...rest]) =>
        Effect.map(run.read.relaysWith(subdomains), (holders) => {
          for (const [id, subdomain, isKnown] of holders) run.contests.held(String(id), subdomain, Boolean(isKnown))
          return rest.length === 0 ? Option.none() : Option.some(rest)
        })
    )
  )

/** Checks the positions and the instants of events. */
const positions = <E>(run: Run<E>, head: Position, tolerance: Duration.Duration) => {
  const { findings, read, repair } = run
  let wrong: Drift | undefined
  const check = new PositionCheck(head, (drift) => {
    wrong ??= drift
    findings.report(drift)
  })
  const clockCheck = new ClockCheck(tolerance, findings.report)
  return steps(run, Number.MIN_SAFE_INTEGER, (after) =>
    Effect.gen(function*() {
      const page = yield* read.instantsAfter(after)
      for (const [position] of page) check.add(position)
      if (page.length < pageSize) check.end()
      if (repair !== undefined && wrong !== undefined) {
        return yield* repair.giveUp(Number.parseInt(wrong.resourceId))
      }
      for (const [position, createdAt, latestAt, isImported] of page) {
        clockCheck.add(position, createdAt, latestAt, Boolean(isImported))
      }
      findings.reportClocks(clockCheck.take())
      if (page.length < pageSize) return Option.none()
      const next = page[pageSize - 1]![0]
      return next > after ? Option.some(next) : yield* new UnreadableKey({ table: "caravel_event", key: `${next}` })
    }))
}

/** Finds rows that have no events in the journal, and deletes them when repairing. */
const unexpectedRows = <E>(run: Run<E>, type: ResourceType) =>
  steps(run, "", (from) =>
    Effect.gen(function*() {
      const { findings: { counts, report }, read, repair } = run
      const [page, next] = yield* read.keysFrom(type, from)
      const ids = page.flatMap(([key, isKnown]) => isKnown ? [] : [String(key)])
      const rows = yield* rowsOf(run, type, ids)
      for (const id of ids) report(unexpectedRow(type, id, rows.get(id) ?? {}))
      counts[resources[type].collection] += ids.length
      if (repair !== undefined && ids.length > 0) yield* repair.remove(type, ids)
      return next
    }))

/** Finds secrets that no row refers to, and deletes them when repairing. */
const unexpectedSecrets = <E>(run: Run<E>) =>
  steps(run, "", (from) =>
    Effect.gen(function*() {
      const { findings: { counts, report }, misplaced, read, repair } = run
      const [page, next] = yield* read.keysFrom("secret", from)
      const unexpected = page.filter(([id, isKnown]) => !isKnown && !misplaced.has(id))
      for (const [id, , position] of unexpected) report(unexpectedSecret(String(id), position))
      counts.secrets += page.length
      if (repair !== undefined && unexpected.length > 0) {
        yield* repair.remove("secret", unexpected.map(([id]) => String(id)))
      }
      return next
    }))
