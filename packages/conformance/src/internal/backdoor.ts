/** Access to stored data that bypasses the core, and helpers that verify and rebuild it. */
import {
  type Drift,
  evolve,
  Journal,
  type RecordedEvent,
  type RelayState,
  type ResourceType,
  type SecretId,
  stateOf,
  type TenantState,
  type Verification
} from "@caravel/domain"
import { Chunk, DateTime, Effect, HashMap, Ref, Stream } from "effect"
import { journalAfter, plain } from "./fixture.js"

/** Identifies a row. */
export interface RowId {
  readonly resourceType: ResourceType
  readonly resourceId: string
}

/** Access to an adapter's stored data that bypasses Caravel. */
export interface Backdoor<R> {
  /** All stored data, in plain values. */
  readonly dump: Effect.Effect<unknown, never, R>
  /** Overwrites fields of a row, possibly its key. The values need not be valid in the model. */
  readonly change: (row: RowId, fields: { readonly [field: string]: unknown }) => Effect.Effect<void, never, R>
  /** Copies a row under another id. A relay gets another subdomain too. */
  readonly copy: (row: RowId, id: string) => Effect.Effect<void, never, R>
  readonly remove: (row: RowId) => Effect.Effect<void, never, R>
  readonly addSecret: (id: SecretId, value: string) => Effect.Effect<void, never, R>
  readonly removeSecret: (id: SecretId) => Effect.Effect<void, never, R>
}

/** All drifts that a verification finds, and its last step. */
export const verify = Effect.flatMap(Journal, (journal) => Stream.runCollect(journal.verify)).pipe(
  Effect.map((steps) => ({
    last: Chunk.unsafeLast(steps),
    differences: plain([...steps].flatMap(({ differences }) => differences)) as ReadonlyArray<Drift>
  }))
)

/** The number of rows that a rebuild writes, and the drifts that it finds. */
export const rebuild = Effect.gen(function*() {
  const journal = yield* Journal
  const steps = yield* Ref.make<ReadonlyArray<Verification>>([])
  const written = yield* journal.rebuild((step) => Ref.update(steps, (steps) => [...steps, step]))
  return { written, differences: plain((yield* steps).flatMap(({ differences }) => differences)) }
})

/** The journal's events and the rows that folding them results in. */
export const folded = Effect.map(journalAfter(), (events) => {
  const { relays, tenants } = events.reduce(evolve, stateOf([], []))
  const rows: ReadonlyArray<TenantState | RelayState> = [...HashMap.values(tenants), ...HashMap.values(relays)]
  return { events, rows }
})

export const idOf = (row: TenantState | RelayState): RowId =>
  "pubkey" in row
    ? { resourceType: "tenant", resourceId: row.pubkey }
    : { resourceType: "relay", resourceId: row.id }

/** The position of the last event that set a field. */
export const positionOf = (events: ReadonlyArray<RecordedEvent>, { resourceId, resourceType }: RowId, field?: string) =>
  events.filter((event) =>
    event.resourceId === resourceId && event.resourceType === resourceType &&
    (field === undefined || field === "version" || event.version === 1 || field in event.changes)
  ).at(-1)?.position

/** A value that differs from the given one. It need not be valid in the model. */
export const another = (field: string, value: unknown): unknown =>
  typeof value === "boolean"
    ? !value
    : typeof value === "number"
    ? value + 1
    : DateTime.isDateTime(value)
    ? DateTime.add(value, { millis: 1 })
    : field === "status"
    ? value === "active" ? "inactive" : "active"
    : value !== null
    ? `${value}x`
    : field === "pastDueAt"
    ? DateTime.unsafeMake(0)
    : field === "nwcUrl"
    ? "01a20817-9f5e-75be-8c41-e650131896aa"
    : "x"

/** The fields that may be null. */
export const nullable = new Set([
  "nwcUrl",
  "nwcError",
  "stripeCustomerId",
  "stripeSubscriptionId",
  "pastDueAt",
  "stripeSubscriptionItemId"
])
