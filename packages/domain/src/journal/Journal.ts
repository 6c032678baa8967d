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
 * Reads of the append-only journal, in commit order. They return committed events only, even inside a transaction of
 * the caller.
 *
 * @example
 * ```ts
 * import { evolve, Journal, Position, stateOf } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * // The current state, folded from all events.
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
  /**
   * The events after `position`, oldest first, at most `limit`. Returns fewer only at the head. In this and the
   * following reads, the limit is an integer or `Infinity`; one below 1 returns no events.
   */
  readonly read: (position: Position, limit: number) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /** The events at these positions, ordered by position. Positions without an event are omitted. */
  readonly at: (positions: ReadonlyArray<Position>) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /** The last committed position; 0 for an empty journal. */
  readonly head: Effect.Effect<Position, StorageError>
  /**
   * The last position before the first event that is later than the instant; the head if there is none. Once a later
   * event exists, the result never changes.
   */
  readonly positionAt: (instant: DateTime.Utc) => Effect.Effect<Position, StorageError>
  /** The current timeline. If you store a position, store the epoch with it. */
  readonly epoch: Effect.Effect<Epoch, StorageError>
  /** All timelines of the journal, oldest first. The last one is the current one. */
  readonly epochs: Effect.Effect<NonEmptyReadonlyArray<EpochStart>, StorageError>
  /**
   * The events of one resource after a version, oldest first, at most `limit`. The cost grows with the resource's
   * events, not with the journal.
   */
  readonly readResource: (
    resource: Resource,
    version: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /**
   * The metered events of a tenant and its relays after `position`, at most `limit`. The cost grows with the tenant's
   * events, not with the journal.
   */
  readonly readTenant: (
    tenant: Pubkey,
    position: Position,
    limit: number
  ) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>
  /**
   * Folds the whole journal and compares the result with every row, on one snapshot of the database, whatever is
   * written meanwhile. Steps report the progress and the drifts found; there is at least one step. An adapter also
   * checks its tables outside the journal, and its files.
   */
  readonly verify: Stream.Stream<Verification, StorageError>
  /**
   * Verifies and repairs the rows in one transaction, during which writers wait. Returns the number of rows and secrets
   * written or deleted, 0 if nothing had drifted. Appends no event and broadcasts nothing.
   *
   * Fails and changes nothing if the database is damaged, or if the rows cannot be derived from the events: an event is
   * unreadable, missing, at a position that was never assigned, or of a wrong type or version; a relay's tenant was
   * never created; or two relays have the same subdomain. Other inconsistent fields of events do not affect the rows,
   * and only `verify` reports them.
   */
  readonly rebuild: (onStep?: (step: Verification) => Effect.Effect<void>) => Effect.Effect<number, StorageError>
}>() {}
