/** The options and results of durable consumers. */
import type { Activity, Position, PositionFromOtherEpoch, StorageError } from "@caravel/domain"
import type { Array as Arr, Cause, Duration, Effect, ParseResult, Schedule, Scope } from "effect"
import type { ConsumerHalted, ConsumerNotFound, ConsumerWaitsForItself } from "./ConsumerError.js"
import type { Checkpoint, Filter, Parked } from "./ConsumerStore.js"

/** The options of a consumer that do not depend on its handler. */
export interface CommonOptions<R> {
  /** The name under which its checkpoint is stored: 1 to 256 characters, without NUL. */
  readonly name: string
  /** Where the consumer starts when it is first run: after a position, at the beginning, or at the head. */
  readonly from: "beginning" | "now" | number
  /** The epoch of the position in `from`, if you stored it. */
  readonly epoch?: string | undefined
  /** Which activities the consumer handles. The checkpoint moves past all others. */
  readonly filter?: typeof Filter.Encoded | undefined
  /**
   * When a failed activity is retried. Later activities wait; with `concurrency`, only those of its resource. By
   * default there are five retries within about three seconds, with jitter.
   */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<unknown>, R> | undefined
  /**
   * What to do when retries are exhausted. `halt`, the default: the consumer stops at the activity. `park`: the
   * activity is put aside and the consumer continues. `parkResource`: later activities of its resource are parked too,
   * in order.
   */
  readonly onFailure?: "halt" | "park" | "parkResource" | undefined
  /**
   * Whether the handler runs in the database transaction that moves the checkpoint. Its writes to the same database,
   * including its commands, then happen exactly once. The handler should be quick: on SQLite all other writers wait for
   * it.
   */
  readonly transactional?: boolean | undefined
  /**
   * How many activities of different resources are handled at once; activities of one resource keep their order. 1 by
   * default, which keeps the order of all activities. Transactional handlers always run one after another, as SQLite
   * has one writer.
   */
  readonly concurrency?: number | undefined
  /**
   * How long the lease lasts without renewal before another process takes over. Ten seconds by default; renewed at each
   * third.
   */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /**
   * How long handlers in progress may continue when the consumer is interrupted. No further handler starts, and the
   * lease is kept. Handlers that take longer are interrupted, which `lag` reports. Five seconds of real time by
   * default; 0 interrupts them at once.
   */
  readonly stopTimeout?: Duration.DurationInput | undefined
  /** How long a handler may take before it is interrupted and fails with `HandlerTimeout`. No limit by default. */
  readonly handlerTimeout?: Duration.DurationInput | undefined
}

/**
 * Handles an activity. Errors, defects and interruptions inside the handler count as failures; an interruption of the
 * consumer itself does not.
 */
export interface SingleHandler<E, R> {
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  readonly handleBatch?: undefined
  readonly batchSize?: undefined
}

/**
 * Handles several activities in one call, in order; with `transactional`, in one transaction. If a call fails, its
 * activities are handled again one by one, in calls with one activity, so that only those that fail are retried and
 * parked. With `concurrency`, the activities of a call are of one resource.
 */
export interface BatchHandler<E, R> {
  readonly handleBatch: (activities: Arr.NonEmptyReadonlyArray<Activity>) => Effect.Effect<unknown, E, R>
  /** The maximum number of activities in a call, at most 1,024; 64 by default. No call waits for more activities. */
  readonly batchSize?: number | undefined
  readonly handle?: undefined
}

/** The options of a consumer. */
export type Options<E, R> = CommonOptions<R> & (SingleHandler<E, R> | BatchHandler<E, R>)

/** What `handleOnce` did. */
export interface Handled {
  /** The number of activities that were handled. */
  readonly handled: number
  /** The number of activities that were parked. */
  readonly parked: number
  /** Everything up to this position is done. */
  readonly position: Position
}

/** The options of a consumer that is a layer. */
export type LayerOptions<E, R> = Options<E, R> & {
  /** Whether `Consumer.fatal` fails when the consumer ends. False by default: the application continues. */
  readonly fatal?: boolean | undefined
}

/** The options of a replay. */
export interface ReplayOptions<E, R> {
  readonly name: string
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E, R>
  /** When an activity that fails again is retried; never by default. */
  readonly retry?: Schedule.Schedule<unknown, Cause.Cause<unknown>, R> | undefined
  /** As for `run`: the handler runs in the transaction that unparks the activity. */
  readonly transactional?: boolean | undefined
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** As for `run`. */
  readonly stopTimeout?: Duration.DurationInput | undefined
  /** As for `run`. */
  readonly handlerTimeout?: Duration.DurationInput | undefined
}

/**
 * What a consumer does. `running`: a process handles its activities. `retrying`: its handler has failed and is
 * retried. `halted`: its handler has failed for good. `stopped`: no process runs it. A consumer whose process was killed
 * keeps its status until another process takes its lease over.
 */
export type Status = "running" | "retrying" | "halted" | "stopped"

/** The state of a consumer. */
export interface Lag extends Omit<Checkpoint, "filter"> {
  readonly status: Status
  /** The number of activities that the consumer has yet to handle. */
  readonly activities: number
  /** The age of the oldest of them, in seconds; 0 if there are none. */
  readonly seconds: number
}

/** The errors of starting a consumer. */
export type StartError = PositionFromOtherEpoch | StorageError | ParseResult.ParseError

/** The errors of `run`. */
export type RunError = StartError | ConsumerHalted | ConsumerWaitsForItself

/** The errors of `awaitPosition`. */
export type AwaitError = RunError

/** The errors of `replay`. */
export type ReplayError =
  | ConsumerNotFound
  | ConsumerWaitsForItself
  | PositionFromOtherEpoch
  | StorageError
  | ParseResult.ParseError

type Known<A, E = never> = Effect.Effect<A, ConsumerNotFound | StorageError | E>

type Checked<A, E = never> = Known<A, ParseResult.ParseError | E>

/** The functions of `Consumer`. */
export interface Service {
  /** See `run`. */
  readonly run: <E, R>(
    options: Options<E, R>
  ) => Effect.Effect<never, RunError, R>
  /** Starts a consumer in a fiber of the scope; see `layer`. */
  readonly start: <E, R>(options: LayerOptions<E, R>) => Effect.Effect<void, StartError, R | Scope.Scope>
  /** See `ready`. */
  readonly ready: Effect.Effect<void, RunError>
  /** See `fatal`. */
  readonly fatal: Effect.Effect<never, RunError>
  /** See `handleOnce`. */
  readonly handleOnce: <E, R>(options: Options<E, R>) => Effect.Effect<Handled, RunError, R>
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
