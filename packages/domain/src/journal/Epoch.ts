/**
 * Which timeline a journal is in. One that is restored from a backup gets a new epoch: what came after the backup never
 * happened there, and its later positions are given a second time, to other events.
 */
import { Array, Effect, type ParseResult, Schema } from "effect"
import type { StorageError } from "../command/CommandError.js"
import { Position } from "../model/Activity.js"
import { expected } from "../model/Text.js"

/**
 * The random id of a timeline.
 *
 * @since 0.1.0
 * @category models
 */
export const Epoch = Schema.UUID.pipe(Schema.brand("Epoch")).annotations({
  identifier: "Epoch",
  ...expected("an epoch: the UUID that Journal.epoch gives")
})

/**
 * @since 0.1.0
 * @category models
 */
export type Epoch = typeof Epoch.Type

// Web Crypto is a global of every runtime that Effect runs on, but not of ECMAScript's own types.
declare const crypto: { readonly randomUUID: () => string }

/**
 * A timeline that has not been before.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeEpoch: Effect.Effect<Epoch> = Effect.sync(() => Epoch.make(crypto.randomUUID()))

/**
 * An epoch and where it began: up to that position it has everything in common with the one before.
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
 * A position was held of another timeline than the journal is in, as it was restored from a backup since. To recover, undo
 * or accept what was done about the activities after `common`, and go on from there, in the epoch `current`; a consumer
 * does by `Consumer.reset`.
 *
 * @since 0.1.0
 * @category errors
 */
export class PositionFromOtherEpoch
  extends Schema.TaggedError<PositionFromOtherEpoch>("@caravel/domain/PositionFromOtherEpoch")(
    "PositionFromOtherEpoch",
    {
      position: Position,
      /** That of the position; null if nobody has said, and the position is beyond the head. */
      epoch: Schema.NullOr(Epoch),
      /** That of the journal. */
      current: Epoch,
      /** Up to here, both have the same events. */
      common: Position
    }
  )
{
  override get message() {
    const { common, current, epoch, position } = this
    return epoch === null || epoch === current
      ? `Position ${position} is not in this journal, which ends at ${common}, in epoch ${current}; ` +
        `it may have been restored: go on from ${common} or before`
      : `Position ${position} is of epoch ${epoch}, and the journal was restored: it is in epoch ${current}, ` +
        `which has what is up to position ${common} in common with that; go on from there or before, a consumer by ` +
        "Consumer.reset or caravel consumers reset"
  }
}

/** What the functions below read of a journal. */
interface Timelines {
  readonly epoch: Effect.Effect<Epoch, StorageError>
  readonly epochs: Effect.Effect<Array.NonEmptyReadonlyArray<EpochStart>, StorageError>
  readonly head: Effect.Effect<Position, StorageError>
}

/** What a position is told that is not the journal's; its `common` says whether it is. */
const fromOtherEpoch = ({ epochs, head }: Timelines, position: Position, epoch: Epoch | null) =>
  Effect.zipWith(epochs, head, (starts, head) => {
    const index = epoch === null ? starts.length - 1 : starts.findIndex((start) => start.epoch === epoch)
    // With one that is unknown, it has nothing in common: the first began at 0.
    const common = starts[index + 1]?.position ?? head
    return new PositionFromOtherEpoch({ position, epoch, current: Array.lastNonEmpty(starts).epoch, common })
  })

const decodeHeld = Schema.decode(Schema.Struct({ position: Position, epoch: Schema.NullOr(Epoch) }))

/**
 * A caller's position, if it is one of the journal's timeline: not beyond the head and, where its epoch is known, not
 * another's since.
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
 * Fails if the journal is no longer in the epoch of a position, even if it has that position in common with it: for who
 * may have acted on what came after.
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
