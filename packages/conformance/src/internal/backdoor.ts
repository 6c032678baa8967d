/** How a test reaches what is stored, behind the core's back, and how it has it looked over. */
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

/** Which row. */
export interface RowId {
  readonly resourceType: ResourceType
  readonly resourceId: string
}

/** Ways to what an adapter has stored that are not Caravel's. */
export interface Backdoor<R> {
  /** All that is stored, in plain values. */
  readonly dump: Effect.Effect<unknown, never, R>
  /** Overwrites fields of a row, its key too; a value is one of the model's, or is not. */
  readonly change: (row: RowId, fields: { readonly [field: string]: unknown }) => Effect.Effect<void, never, R>
  /** Makes a row as another is, but for its id and, of a relay, its subdomain. */
  readonly copy: (row: RowId, id: string) => Effect.Effect<void, never, R>
  readonly remove: (row: RowId) => Effect.Effect<void, never, R>
  readonly addSecret: (id: SecretId, value: string) => Effect.Effect<void, never, R>
  readonly removeSecret: (id: SecretId) => Effect.Effect<void, never, R>
}

/** All that a verification finds, and its last step. */
export const verify = Effect.flatMap(Journal, (journal) => Stream.runCollect(journal.verify)).pipe(
  Effect.map((steps) => ({
    last: Chunk.unsafeLast(steps),
    differences: plain([...steps].flatMap(({ differences }) => differences)) as ReadonlyArray<Drift>
  }))
)

/** What a rebuild has written, and found. */
export const rebuild = Effect.gen(function*() {
  const journal = yield* Journal
  const steps = yield* Ref.make<ReadonlyArray<Verification>>([])
  const written = yield* journal.rebuild((step) => Ref.update(steps, (steps) => [...steps, step]))
  return { written, differences: plain((yield* steps).flatMap(({ differences }) => differences)) }
})

/** The rows that the journal comes to, and the events that it has. */
export const folded = Effect.map(journalAfter(), (events) => {
  const { relays, tenants } = events.reduce(evolve, stateOf([], []))
  const rows: ReadonlyArray<TenantState | RelayState> = [...HashMap.values(tenants), ...HashMap.values(relays)]
  return { events, rows }
})

export const idOf = (row: TenantState | RelayState): RowId =>
  "pubkey" in row
    ? { resourceType: "tenant", resourceId: row.pubkey }
    : { resourceType: "relay", resourceId: row.id }

/** The last event that set a field. */
export const positionOf = (events: ReadonlyArray<RecordedEvent>, { resourceId, resourceType }: RowId, field?: string) =>
  events.filter((event) =>
    event.resourceId === resourceId && event.resourceType === resourceType &&
    (field === undefined || field === "version" || event.version === 1 || field in event.changes)
  ).at(-1)?.position

/** A value that is not this one: one that the model has, or one that no schema takes. */
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
