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
  Effect.zipWith(Database, Append.make(seen), ({ rows }, append) => {
    const byId = rows.import.select("id")
    const upsert = rows.import.upsert("id", ["source", "startedAt"])
    const insertRefusals = rows.importRefusal.insert()

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

    /** Loads the state on which a page is decided, and prepares the page's batch. */
    function* batchOf(
      page: Page,
      source: Source,
      { startedAt }: ImportRow
    ): StatementScript<Either.Either<Begun, Unreadable>> {
      const loaded = yield* append.load(touchedBy(page))
      if (Either.isLeft(loaded)) return Either.left(loaded.left)
      const { state } = loaded.right
      const ids = page.items.flatMap(({ row }) => Either.isRight(row) && row.right !== undefined ? [row.right.id] : [])
      const taken = yield* select(selectIds(ids))
      const correlationId = `import-${source.id.slice(0, 32)}`
      const batch = new ImportBatch({
        state,
        foreign: yield* foreignIn(state, correlationId),
        ids: new Set(taken.map(([id]) => String(id))),
        tenants: page.tenants,
        relays: page.relays,
        startedAt,
        metadata: { correlationId },
        idOf: source.idOf
      })
      return Either.right({ before: loaded.right, batch })
    }

    return {
      /**
       * Returns the progress of this source's import, and begins the import if there is none. Fails with reason
       * `changed` if an import of the file's earlier contents is unfinished.
       */
      *begin(source: Source, now: DateTime.Utc): StatementScript<Either.Either<Written, Unreadable | UnusableSource>> {
        yield* append.lock()
        const found = rows.import.decode(yield* select(byId([source.id])))
        if (Either.isLeft(found)) return Either.left(found.left)
        const [known] = found.right
        if (known !== undefined) return Either.right({ progress: known, refused: [], recorded: [] })
        if ((yield* select([[unfinished, [source.filename], 1]])).length > 0) {
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
        yield* append.lock()
        const current = Either.map(rows.import.decode(yield* select(byId([progress.id]))), ([row]) => row?.items)
        if (Either.isLeft(current)) return Either.left(current.left)
        if (current.right !== progress.items) return Either.left(overtaken)
        const begun = yield* batchOf(page, source, progress)
        if (Either.isLeft(begun)) return Either.left(begun.left)

        const { batch, before } = begun.right
        const counts = { ...nothing }
        const refused: Array<ImportRefusalRow> = []
        for (const item of page.items) {
          counts.items++
          const added = Either.flatMap(item.row, (row) => addTo(batch, item, row))
          if (Either.isRight(added)) counts[counted[item.table]]++
          else {
            const key = storableText(withoutSecrets(item.key), 100)
            const ordinal = progress.items + counts.items
            refused.push({ import: progress.id, item: ordinal, tableName: item.table, key, ...added.left })
          }
        }
        const recorded = yield* append.record(before, batch.batch)
        counts.refused = refused.length
        counts.renamed = recorded.filter(({ metadata }) => metadata.causationId !== undefined).length
        counts.events = recorded.length
        const sums = Rec.map(nothing, (_, name) => progress[name] + counts[name])
        const next = { ...progress, ...sums, finishedAt: sums.items === source.total ? now : null }
        yield* execute([...upsert([next]), ...insertRefusals(refused)])
        return Either.right({ progress: next, refused, recorded })
      }
    }
  })

interface Begun {
  readonly before: Append.Loaded
  readonly batch: ImportBatch
}

const nothing = {
  items: 0,
  activities: 0,
  tenants: 0,
  relays: 0,
  refused: 0,
  renamed: 0,
  events: 0
}

const counted = { activity: "activities", tenant: "tenants", relay: "relays" } as const

const addTo = (batch: ImportBatch, { key, table }: Item, row: ActivityRow | undefined): Either.Either<void, Why> =>
  row !== undefined ? batch.addActivity(row) : table === "tenant" ? batch.addTenant(key) : batch.addRelay(key)

/** The tenants, relays and subdomains to load before a page is decided. */
const touchedBy = ({ relays, tenants }: Page) => {
  const found = Arr.getRights(relays.values())
  return {
    tenants: Arr.getRights(tenants.values()).map(({ pubkey }) => pubkey),
    relays: found.map(({ id }) => id),
    subdomains: found.map(({ subdomain }) => subdomain)
  }
}

const overtaken = new StorageError({
  reason: "busy",
  operation: "import",
  cause: new Error("another process is importing the same source")
})
