import { Context, type DateTime, type Effect, type Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { StorageError } from "../command/CommandError.js"
import type { RecordedEvent } from "../event/Event.js"
import type { Position } from "../model/Activity.js"
import type { Resource } from "../model/Resource.js"
import type { Pubkey } from "../model/Tenant.js"
import type { Verification } from "../verify/Verification.js"
import type { Epoch, EpochStart } from "./Epoch.js"

/**
 * Reads of the append-only journal, in commit order. It holds what is committed, whatever transaction the caller is in.
 *
 * @example
 * ```ts
 * import { evolve, Journal, Position, stateOf } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * // The state, folded from what has happened.
 * const program = Effect.gen(function*() {
 *   const journal = yield* Journal
 *   const events = yield* journal.read(Position.make(0), 1000)
 *   return events.reduce(evolve, stateOf([], []))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Journal extends Context.Tag("@caravel/domain/Journal")<Journal, {
  /** Events after `position`, oldest first, at most `limit`; fewer only at the head. */
  readonly read: (position: Position, limit: number) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /** The events at these positions, in their order; without those that there are not. */
  readonly at: (positions: ReadonlyArray<Position>) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /** The last committed position; 0 for an empty journal. */
  readonly head: Effect.Effect<Position, StorageError>
  /**
   * The last position before the first event that is later than an instant; the head if no event is. Once there is a later
   * event, the answer never changes.
   */
  readonly positionAt: (instant: DateTime.Utc) => Effect.Effect<Position, StorageError>
  /** The timeline that it is in: who keeps a position for later keeps this with it. */
  readonly epoch: Effect.Effect<Epoch, StorageError>
  /** All timelines that led to it, oldest first; the last one is that. */
  readonly epochs: Effect.Effect<NonEmptyReadonlyArray<EpochStart>, StorageError>
  /** The events of one resource after a version of it, oldest first, at most `limit`; it costs what the resource has. */
  readonly readResource: (
    resource: Resource,
    version: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /** The events of a tenant and its relays that are metered, after `position`; it costs what the tenant has. */
  readonly readTenant: (
    tenant: Pubkey,
    position: Position,
    limit: number
  ) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /**
   * Folds the whole journal and compares every row with what it comes to, on one state of the database, whatever is
   * written meanwhile. Steps tell how far it is and what it has found; there is at least one.
   * An adapter also looks at what it keeps beside the journal, and at its files.
   */
  readonly verify: Stream.Stream<Verification, StorageError>
  /**
   * The same, mending in one transaction what differs; writers wait. Gives how many rows and secrets it has written or
   * deleted: none, if nothing had drifted. Fails, and changes nothing, if events are unreadable, missing or
   * contradictory, or the database is damaged. It has no position and broadcasts nothing.
   */
  readonly rebuild: (onStep?: (step: Verification) => Effect.Effect<void>) => Effect.Effect<number, StorageError>
}>() {}
