/** Writes an import: each page in one transaction, which also records the progress. */
import { type RecordedEvent, type State, StorageError } from "@caravel/domain"
import {
  type ActivityRow,
  ImportBatch,
  resourceKey,
  storableText,
  type Why,
  withoutSecrets
} from "@caravel/domain/adapter"
import type { Tail } from "@caravel/pubsub"
import { Array as Arr, type DateTime, Effect, Either, HashMap, Record as Rec } from "effect"
import { Database } from "../../database/Database.js"
import type { ImportRefusalRow, ImportRow } from "../../schema/ImportTables.js"
import type { Unreadable } from "../../schema/Tables.js"
import { execute, select, type StatementScript } from "../../statement/StatementScript.js"
import { chunked, repeat } from "../../statement/Table.js"
import * as Append from "../../write/Append.js"
import type { Page, Source } from "./ImportSource.js"
import type { Item } from "./SourceItems.js"
import { UnusableSource } from "./UnusableSource.js"

/** The result of one transaction of an import. */
export interface Written {
  readonly progress: ImportRow
  readonly refused: ReadonlyArray<ImportRefusalRow>
  readonly recorded: ReadonlyArray<RecordedEvent>
}

const unfinished = "SELECT id FROM caravel_import WHERE source = ? AND finished_at IS NULL"

const selectIds = chunked<string>(
  (size) => `SELECT id FROM caravel_event WHERE id IN (${repeat("?", size)})`,
  (ids) => ids
)

/** Selects the last event of each resource, by its version. */
const selectLast = chunked<readonly [id: string, type: "tenant" | "relay", version: number]>(
  (size) =>
    `SELECT resource_type, resource_id, metadata FROM caravel_event
      WHERE ${Arr.makeBy(size, () => "resource_id = ? AND resource_type = ? AND resource_version = ?").join(" OR ")}`,
  (resources) => resources.flat()
)

/** The statement scripts of an import. Each runs in a transaction of its own. */
export const make = (seen: () => Tail.Seen) =>
  Effect.zipWith(Database, Append.make(seen), ({ tables }, append) => {
    const byId = tables.import.select("id")
    const upsert = tables.import.upsert("id", ["source", "startedAt"])
    const insertRefusals = tables.importRefusal.insert()

    /** Locks the journal, and returns the progress of an import, if it has begun. */
    function* progressOf(id: string): StatementScript<Either.Either<ImportRow | undefined, Unreadable>> {
      yield* append.lock()
      return Either.map(tables.import.decode(yield* select(byId([id]))), ([row]) => row)
    }

    return {
      /**
       * Returns the progress of this source's import, and begins the import if there is none. Fails with reason
       * `changed` if an import of the file's earlier contents is unfinished.
       */
      *begin(source: Source, now: DateTime.Utc): StatementScript<Either.Either<Written, Unreadable | UnusableSource>> {
        const known = yield* progressOf(source.id)
        if (Either.isLeft(known)) return Either.left(known.left)
        if (known.right !== undefined) return Either.right({ progress: known.right, refused: [], recorded: [] })
        if ((yield* select([[unfinished, [source.filename]]])).length > 0) {
          return Either.left(new UnusableSource({ filename: source.filename, reason: "changed", detail: "" }))
        }
        const progress: ImportRow = {
          id: source.id,
          source: source.filename,
          ...nothing,
          startedAt: now,
          finishedAt: source.total === 0 ? now : null
        }
        yield* execute(upsert([progress]))
        return Either.right({ progress, refused: [], recorded: [] })
      },

      /**
       * Imports the page after `progress`. Fails with reason `busy` if another process has written the progress since.
       */
      *write(
        page: Page,
        source: Source,
        progress: ImportRow,
        now: DateTime.Utc
      ): StatementScript<Either.Either<Written, Unreadable | StorageError>> {
        const current = yield* progressOf(progress.id)
        if (Either.isLeft(current)) return Either.left(current.left)
        if (current.right?.items !== progress.items) return Either.left(overtaken)
        const before = yield* append.load(touchedBy(page))
        if (Either.isLeft(before)) return Either.left(before.left)

        const batch = yield* batchOn(before.right.state, page, source, progress.startedAt)
        const { added, refused } = addAll(batch, page.items, progress)
        const recorded = yield* append.record(before.right, batch.batch)
        const counts: Counts = {
          ...added,
          refused: refused.length,
          renamed: recorded.filter(({ metadata }) => metadata.causationId !== undefined).length,
          events: recorded.length
        }
        const sums = Rec.map(counts, (count, name) => progress[name] + count)
        const next = { ...progress, ...sums, finishedAt: sums.items === source.total ? now : null }
        yield* execute([...upsert([next]), ...insertRefusals(refused)])
        return Either.right({ progress: next, refused, recorded })
      }
    }
  })

const nothing = {
  items: 0,
  activities: 0,
  tenants: 0,
  relays: 0,
  refused: 0,
  renamed: 0,
  events: 0
}

type Counts = typeof nothing

/** The tenants, relays and subdomains to load before a page is decided. */
const touchedBy = ({ relays, tenants }: Page) => {
  const found = Arr.getRights(relays.values())
  return {
    tenants: Arr.getRights(tenants.values()).map(({ pubkey }) => pubkey),
    relays: found.map(({ id }) => id),
    subdomains: found.map(({ subdomain }) => subdomain)
  }
}

/** An empty batch for a page, on the state that the page touches. */
function* batchOn(
  state: State,
  { items, relays, tenants }: Page,
  { id, idOf }: Source,
  startedAt: DateTime.Utc
): StatementScript<ImportBatch> {
  const ids = items.flatMap(({ row }) => Either.isRight(row) && row.right !== undefined ? [row.right.id] : [])
  const taken = yield* select(selectIds(ids))
  const correlationId = `import-${id.slice(0, 32)}`
  return new ImportBatch({
    state,
    foreign: yield* foreignIn(state, correlationId),
    ids: new Set(taken.map(([id]) => String(id))),
    tenants,
    relays,
    startedAt,
    metadata: { correlationId },
    idOf
  })
}

/** The resources whose last event was not written by this import. The import does not change them. */
function* foreignIn({ relays, tenants }: State, correlationId: string): StatementScript<ReadonlySet<string>> {
  const last = yield* select(selectLast([
    ...[...HashMap.values(tenants)].map(({ pubkey, version }) => [pubkey, "tenant", version] as const),
    ...[...HashMap.values(relays)].map(({ id, version }) => [id, "relay", version] as const)
  ]))
  // `correlationId` is the first field of the metadata that the import writes.
  const own = JSON.stringify({ correlationId }).slice(0, -1)
  return new Set(
    last.flatMap(([resourceType, resourceId, metadata]) =>
      String(metadata).startsWith(own)
        ? []
        : [resourceKey({ resourceType: resourceType as "tenant" | "relay", resourceId: String(resourceId) })]
    )
  )
}

const counted = { activity: "activities", tenant: "tenants", relay: "relays" } as const

/** Adds items to a batch. Returns how many of each kind were added, and the rows that were refused. */
const addAll = (batch: ImportBatch, items: ReadonlyArray<Item>, progress: ImportRow) => {
  const added = { items: items.length, activities: 0, tenants: 0, relays: 0 }
  const refused: Array<ImportRefusalRow> = []
  items.forEach((item, index) => {
    const result = Either.flatMap(item.row, (row) => addTo(batch, item, row))
    if (Either.isRight(result)) return void added[counted[item.table]]++
    const key = storableText(withoutSecrets(item.key), 100)
    const ordinal = progress.items + index + 1
    refused.push({ import: progress.id, item: ordinal, tableName: item.table, key, ...result.left })
  })
  return { added, refused }
}

const addTo = (batch: ImportBatch, { key, table }: Item, row: ActivityRow | undefined): Either.Either<void, Why> =>
  row !== undefined ? batch.addActivity(row) : table === "tenant" ? batch.addTenant(key) : batch.addRelay(key)

const overtaken = new StorageError({
  reason: "busy",
  operation: "import",
  cause: new Error("another process is importing the same source")
})
