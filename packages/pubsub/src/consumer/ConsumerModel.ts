/** What a durable consumer is asked for, and what it answers. */
import type { Activity, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import type { Cause, Duration, Effect, ParseResult, Schedule } from "effect"
import type { ConsumerHalted, ConsumerNotFound, ConsumerWaitsForItself } from "./ConsumerError.js"
import type { Checkpoint, Filter, Parked } from "./ConsumerStore.js"

/** A consumer. */
export interface Options<E, R> {
  /** Under this name it goes on where it was: at least one character and at most 256, without NUL. */
  readonly name: string
  /** Where it begins when it is run for the first time: after a position, or at the head. */
  readonly from: "beginning" | "now" | number
  /** That of the position in `from`, where it was kept with it. */
  readonly epoch?: string | undefined
  /** What it is for; the query applies it, and the checkpoint passes by what it leaves out. */
  readonly filter?: typeof Filter.Encoded | undefined
  /**
   * Handles an activity. Whatever it fails with counts as a failure, defects and what is interrupted inside of it too; only
   * the interruption of the consumer itself does not.
   */
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  /**
   * When a failed activity is tried again, in place: the others wait, or those of its resource with `concurrency`.
   * By default five more times within about three seconds, with jitter.
   */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<unknown>, R> | undefined
  /**
   * What becomes of an activity that has failed for good. `halt`, the default: the consumer stops there. `park`: it is put
   * aside, and the consumer goes on. `parkResource`: so are the later ones of its resource, in order.
   */
  readonly onFailure?: "halt" | "park" | "parkResource" | undefined
  /**
   * Whether the handler runs in the database transaction that moves the checkpoint: what it writes to the same database, its
   * commands too, then happens exactly once. It should be quick, as on SQLite all other writers wait for it.
   */
  readonly transactional?: boolean | undefined
  /**
   * How many activities are handled at once, of different resources: within one they keep their order. 1 by default, which
   * keeps the order of all. Transactional handlers run one after another whatever it is: a database like SQLite has one writer.
   */
  readonly concurrency?: number | undefined
  /** After so long without a sign of life another process takes over; ten seconds by default, renewed at each third. */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /**
   * How long a handler may go on when the consumer is interrupted; nothing further is begun meanwhile, and the lease is
   * kept. Then it is interrupted, which `lag` says. Five seconds of real time by default; with 0 it is interrupted at once.
   */
  readonly stopTimeout?: Duration.DurationInput | undefined
  /** How long a handler may take; then it is interrupted, and has failed with `HandlerTimeout`. No limit by default. */
  readonly handlerTimeout?: Duration.DurationInput | undefined
}

/** How to handle parked activities once more. */
export interface ReplayOptions<E, R> {
  readonly name: string
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  /** When one that fails again is tried again at once; never by default. */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<unknown>, R> | undefined
  /** As for `run`: the handler runs in the transaction that ends the parking. */
  readonly transactional?: boolean | undefined
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** As for `run`. */
  readonly stopTimeout?: Duration.DurationInput | undefined
  /** As for `run`. */
  readonly handlerTimeout?: Duration.DurationInput | undefined
}

/** How a consumer stands. */
export interface Lag extends Omit<Checkpoint, "filter"> {
  /** How many activities are before it. */
  readonly activities: number
  /** For how long the oldest of them has waited; 0 if there are none. */
  readonly seconds: number
}

/** What ends a consumer. */
export type RunError =
  | ConsumerHalted
  | ConsumerWaitsForItself
  | PositionFromOtherEpoch
  | StorageError
  | ParseResult.ParseError

/** Why a position is not waited for. */
export type AwaitError = RunError

/** Why nothing more is replayed. */
export type ReplayError =
  | ConsumerNotFound
  | ConsumerWaitsForItself
  | PositionFromOtherEpoch
  | StorageError
  | ParseResult.ParseError

type Known<A, E = never> = Effect.Effect<A, ConsumerNotFound | StorageError | E>

type Checked<A, E = never> = Known<A, ParseResult.ParseError | E>

/** What the functions of `Consumer` go by. */
export interface Service {
  /** See `run`. */
  readonly run: <E, R>(
    options: Options<E, R>
  ) => Effect.Effect<never, RunError, R>
  /** See `awaitPosition`. */
  readonly awaitPosition: (
    name: string,
    position: number,
    options?: { readonly epoch?: string | undefined }
  ) => Effect.Effect<void, AwaitError>
  /** See `lag`. */
  readonly lag: (name: string) => Known<Lag>
  /** See `list`. */
  readonly list: Effect.Effect<ReadonlyArray<Lag>, StorageError>
  /** See `parked`. */
  readonly parked: (
    name: string,
    page?: { readonly after?: number | undefined; readonly limit?: number | undefined }
  ) => Checked<ReadonlyArray<Parked>>
  /** See `replay`. */
  readonly replay: <E, R>(
    options: ReplayOptions<E, R>
  ) => Effect.Effect<
    { readonly replayed: number; readonly failed: number },
    ReplayError,
    R
  >
  /** See `requestReplay`. */
  readonly requestReplay: (name: string) => Known<void, ConsumerWaitsForItself | PositionFromOtherEpoch>
  /** See `drop`. */
  readonly drop: (name: string, positions?: ReadonlyArray<number>) => Checked<number>
  /** See `reset`. */
  readonly reset: (
    name: string,
    position: number,
    options?: { readonly epoch?: string | undefined }
  ) => Checked<void, PositionFromOtherEpoch>
}
