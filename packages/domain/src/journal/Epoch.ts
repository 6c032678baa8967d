/**
 * The timeline of a journal. A journal that is restored from a backup gets a new epoch: events after the backup are
 * gone, and their positions are assigned again to other events.
 */
import { Array as Arr, Effect, type ParseResult, Schema } from "effect"
import type { StorageError } from "../command/CommandError.js"
import { Position } from "../model/Activity.js"
import { decodeInput } from "../model/Decoding.js"
import { expected } from "../model/Text.js"

/**
 * The random id of a timeline.
 *
 * @since 0.1.0
 * @category models
 */
export const Epoch = Schema.UUID.pipe(Schema.brand("Epoch")).annotations({
  identifier: "Epoch",
  ...expected("an epoch: the UUID that Journal.epoch returns")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Epoch = typeof Epoch.Type

// Every runtime that Effect supports has Web Crypto as a global, but ECMAScript's own types do not include it.
declare const crypto: { readonly randomUUID: () => string }

/**
 * Generates a new epoch.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeEpoch: Effect.Effect<Epoch> = Effect.sync(() => Epoch.make(crypto.randomUUID()))

/**
 * An epoch and the position where it started. Up to that position, its events are the same as in the previous epoch.
 *
 * @since 0.1.0
 * @category models
 */
export const EpochStart = Schema.Struct({
  epoch: Epoch,
  position: Position,
  startedAt: Schema.DateTimeUtc
})

/**
 * @since 0.1.0
 * @category models
 */
export interface EpochStart extends Schema.Schema.Type<typeof EpochStart> {}

/**
 * The position belongs to another timeline: the journal was restored from a backup after the position was stored. To
 * recover, undo or accept the effects of the activities after `common`, and resume from `common` in the epoch
 * `current`. For a consumer, use `Consumer.reset`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PositionFromOtherEpoch
  extends Schema.TaggedError<PositionFromOtherEpoch>("@caravel/domain/PositionFromOtherEpoch")(
    "PositionFromOtherEpoch",
    {
      position: Position,
      /** The epoch of the position; null if the caller passed none and the position is beyond the head. */
      epoch: Schema.NullOr(Epoch),
      /** The epoch of the journal. */
      current: Epoch,
      /** Both epochs have the same events up to this position. */
      common: Position
    }
  )
{
  override get message() {
    const { common, current, epoch, position } = this
    return epoch === null || epoch === current
      ? `Position ${position} is not in this journal, which ends at ${common}, in epoch ${current}; ` +
        `it may have been restored: resume from ${common} or before`
      : `Position ${position} belongs to epoch ${epoch}, but the journal was restored: it is in epoch ${current}. ` +
        `Both are the same up to position ${common}: resume from there or before; for a consumer, use ` +
        "Consumer.reset or caravel consumers reset"
  }
}

/** The part of the journal that the functions below read. */
interface Timelines {
  readonly epoch: Effect.Effect<Epoch, StorageError>
  readonly epochs: Effect.Effect<Arr.NonEmptyReadonlyArray<EpochStart>, StorageError>
  readonly head: Effect.Effect<Position, StorageError>
}

/** The error for a position in another epoch. The position is valid if it is not greater than the error's `common`. */
const fromOtherEpoch = ({ epochs, head }: Timelines, position: Position, epoch: Epoch | null) =>
  Effect.zipWith(epochs, head, (starts, head) => {
    const index = epoch === null ? starts.length - 1 : starts.findIndex((start) => start.epoch === epoch)
    // An unknown epoch has index -1, so `common` is 0, where the first epoch started.
    const common = starts[index + 1]?.position ?? head
    return new PositionFromOtherEpoch({ position, epoch, current: Arr.lastNonEmpty(starts).epoch, common })
  })

const decodeHeld = decodeInput(Schema.Struct({ position: Position, epoch: Schema.NullOr(Epoch) }))

/**
 * Returns a caller's position if it belongs to the journal's timeline: it is not beyond the head and, if its epoch is
 * known, all events up to it are also in the current epoch. Fails with `PositionFromOtherEpoch` otherwise.
 *
 * @since 0.1.0
 * @category combinators
 */
export const checkPosition = (
  journal: Timelines,
  position: number,
  epoch: string | null = null
): Effect.Effect<Position, ParseResult.ParseError | StorageError | PositionFromOtherEpoch> =>
  Effect.flatMap(decodeHeld({ position, epoch }), ({ epoch, position }) =>
    Effect.flatMap(
      fromOtherEpoch(journal, position, epoch),
      (error) => position <= error.common ? Effect.succeed(position) : Effect.fail(error)
    ))

/**
 * Fails if the journal is no longer in the epoch of a position, even if both epochs have that position in common. Use
 * it for a caller that may have acted on later events.
 *
 * @since 0.1.0
 * @category combinators
 */
export const checkEpoch = (
  journal: Timelines,
  position: Position,
  epoch: Epoch
): Effect.Effect<void, StorageError | PositionFromOtherEpoch> =>
  Effect.flatMap(
    journal.epoch,
    (current) => current === epoch ? Effect.void : Effect.flatMap(fromOtherEpoch(journal, position, epoch), Effect.fail)
  )
