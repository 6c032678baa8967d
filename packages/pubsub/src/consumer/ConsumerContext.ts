import { type Journal, type Position, type PositionFromOtherEpoch, type Query, StorageError } from "@caravel/domain"
import { checkEpoch, checkPosition } from "@caravel/domain/adapter"
import { Effect, type ParseResult } from "effect"
import type { Tail } from "../tail/Tail.js"
import type { Checkpoint } from "./Checkpoints.js"
import { ConsumerNotFound } from "./ConsumerError.js"
import type { ConsumerStore } from "./ConsumerStore.js"
import { LocalSignals } from "./LocalSignals.js"
import type { Replays } from "./Parking.js"
import { retryWhileUnavailable } from "./StorageRetry.js"

/** The services that consumers use. */
export interface Ports {
  readonly store: typeof ConsumerStore.Service
  readonly journal: typeof Journal.Service
  readonly query: typeof Query.Service
  readonly tail: typeof Tail.Service
}

type Restored = StorageError | PositionFromOtherEpoch

/** What all consumers of a process share: the services they use, and the signals by which they notify one another. */
export class ConsumerContext {
  readonly store: Ports["store"]
  readonly journal: Ports["journal"]
  readonly query: Ports["query"]
  readonly tail: Ports["tail"]
  private readonly signals = new Map<string, LocalSignals>()

  constructor({ journal, query, store, tail }: Ports) {
    this.store = store
    this.journal = journal
    this.query = query
    this.tail = tail
  }

  signalsOf(name: string): LocalSignals {
    const signals = this.signals.get(name) ?? new LocalSignals()
    this.signals.set(name, signals)
    return signals
  }

  find(name: string): Effect.Effect<Checkpoint, StorageError | ConsumerNotFound> {
    return Effect.flatMap(
      retryWhileUnavailable(this.store.checkpoints.find(name)),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )
  }

  /**
   * Finds a checkpoint of the journal's epoch, at a position that the journal has. Fails if the journal was restored
   * from a backup since the checkpoint was registered or reset: the consumer may have handled activities that no longer
   * exist.
   */
  findInEpoch(name: string): Effect.Effect<Checkpoint, Restored | ConsumerNotFound> {
    return Effect.tap(this.find(name), ({ epoch, position }) =>
      retryWhileUnavailable(Effect.zipRight(
        checkEpoch(this.journal, position, epoch),
        Effect.catchTag(this.checkPosition(position, epoch), "ParseError", Effect.die)
      )))
  }

  /** Validates a position that a caller passes. */
  checkPosition(
    position: number,
    epoch: string | undefined
  ): Effect.Effect<Position, Restored | ParseResult.ParseError> {
    return checkPosition(this.journal, position, epoch)
  }

  replaysOf(name: string): Effect.Effect<Replays, Restored | ConsumerNotFound> {
    return Effect.flatMap(
      retryWhileUnavailable(Effect.zipLeft(this.store.parking.replays(name), this.failIfRestored)),
      Effect.mapError(() => new ConsumerNotFound({ consumer: name }))
    )
  }

  readonly failIfRestored: Effect.Effect<void, Restored> = Effect.suspend(() =>
    Effect.flatMap(this.tail.position, this.tail.failIfRestored)
  )

  /** Fails with `PositionFromOtherEpoch` if a write is refused because the journal was restored. */
  readonly orRestored = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Restored, R> =>
    Effect.tapError(
      effect,
      (error) => error instanceof StorageError && error.reason === "replaced" ? this.failIfRestored : Effect.void
    )
}
