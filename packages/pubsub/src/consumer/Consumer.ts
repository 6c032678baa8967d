/**
 * Durable consumers: named readers of the activity log that continue where they stopped, in any process, and miss
 * nothing.
 *
 * One process at a time runs a consumer, under a lease. Others wait for the lease.
 */
import { type Activity, Journal, type PositionFromOtherEpoch, Query, type StorageError } from "@caravel/domain"
import { type Array as Arr, Context, Effect, Layer, type ParseResult, type Scope } from "effect"
import { Tail } from "../tail/Tail.js"
import type { ConsumerNotFound, ConsumerWaitsForItself } from "./ConsumerError.js"
import type {
  AwaitError,
  Handled,
  Lag,
  LayerOptions,
  Options,
  ReplayError,
  ReplayOptions,
  RunError,
  Service,
  StartError
} from "./ConsumerModel.js"
import { make } from "./ConsumerService.js"
import { ConsumerStore } from "./ConsumerStore.js"
import type { Parked } from "./Parking.js"

/**
 * The errors of consumers.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./ConsumerError.js"

/**
 * The options and results of consumers.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./ConsumerModel.js"

/**
 * The service behind the functions of this module: durable consumers over an adapter's `ConsumerStore`.
 *
 * @since 0.1.0
 * @category services
 */
export class Consumer extends Context.Tag("@caravel/pubsub/Consumer")<Consumer, Service>() {}

/**
 * The service over an adapter's store, journal and tail. Adapters provide it; applications use `layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerService: Layer.Layer<Consumer, never, ConsumerStore | Journal | Query | Tail> = Layer.scoped(
  Consumer,
  Effect.flatMap(Effect.all({ store: ConsumerStore, journal: Journal, query: Query, tail: Tail }), make)
)

/**
 * A consumer as a part of an application: it starts and stops with the layer, and the layer requires what the handler
 * needs. Building the layer registers the consumer, and fails if that is impossible. It does not wait for the lease.
 * Each call of the handler has a scope of its own.
 *
 * If the consumer ends later, the application continues. The end is logged at error level, `ready` fails, and `lag` and
 * the metrics show whether the consumer has halted. After a storage error that may pass, such as a full disk, the
 * consumer is restarted. To end the application with the consumer, use the option `fatal`.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Consumer } from "@caravel/pubsub"
 * import { Effect, Layer } from "effect"
 *
 * const Billing = Consumer.layer({
 *   name: "billing",
 *   from: "beginning",
 *   handle: (activity) => Effect.log(activity.activityType, activity.resourceId)
 * })
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const { position } = yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   yield* Consumer.awaitPosition("billing", position)
 *   yield* Consumer.ready
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Layer.provideMerge(Billing, Memory.layer)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  options: LayerOptions<E, R>
): Layer.Layer<never, StartError, Consumer | Exclude<R, Scope.Scope>> =>
  Layer.scopedDiscard(Effect.flatMap(Consumer, (consumer) => consumer.start(withScopes(options))))

/** Without a scope of its own, what each call of the handler acquires would be kept until the layer is closed. */
const withScopes = <E, R>(options: LayerOptions<E, R>) =>
  options.handleBatch === undefined
    ? { ...options, handle: (activity: Activity) => Effect.scoped(options.handle(activity)) }
    : {
      ...options,
      handleBatch: (activities: Arr.NonEmptyReadonlyArray<Activity>) => Effect.scoped(options.handleBatch(activities))
    }

/**
 * Succeeds while all consumers of this program's layers work or wait for their leases. Once one of them has ended, it
 * fails with the reason. Use it as a readiness probe.
 *
 * @since 0.1.0
 * @category accessors
 */
export const ready: Effect.Effect<void, RunError, Consumer> = Effect.flatMap(Consumer, (consumer) => consumer.ready)

/**
 * Waits until a consumer whose layer has the option `fatal` has ended, and fails with the reason. To run an application
 * that ends with its consumers, provide its layers to this: `Effect.provide(Consumer.fatal, layers)`.
 *
 * @since 0.1.0
 * @category running
 */
export const fatal: Effect.Effect<never, RunError, Consumer> = Effect.flatMap(Consumer, (consumer) => consumer.fatal)

/**
 * Runs a consumer forever: every activity that passes its filter is handled at least once, in order, and with
 * `transactional` exactly once. If another process or fiber runs the consumer already, this waits for the lease.
 *
 * The consumer waits while the database is busy or unavailable. It fails with `ConsumerHalted` when retries of a
 * handler are exhausted, and with a `StorageError` that is not transient. When it is interrupted, it waits for handlers
 * in progress, for at most `stopTimeout`, and releases its lease. If the journal was restored from a backup since the
 * consumer was registered, it fails with `PositionFromOtherEpoch`: activities that it has handled may no longer exist.
 * Decide what to do about their effects, then `reset` the consumer.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Consumer } from "@caravel/pubsub"
 * import { Effect } from "effect"
 *
 * const billing = Consumer.run({
 *   name: "billing",
 *   from: "beginning",
 *   filter: { activityType: ["create_relay", "activate_relay", "deactivate_relay"] },
 *   handle: (activity) => Effect.log(activity.activityType, activity.resourceId)
 * })
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.fork(billing)
 *   const command = yield* Command
 *   const { position } = yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   yield* Consumer.awaitPosition("billing", position)
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const run = <E, R>(
  options: Options<E, R>
): Effect.Effect<never, RunError, Consumer | R> => Effect.flatMap(Consumer, (consumer) => consumer.run(options))

/**
 * Runs a consumer up to the head of the journal at the time of the call, then stops and returns what it did. It never
 * waits for activities, and by default a failed handler is not retried. Use it in tests and in jobs that run at
 * intervals. If another process runs the consumer, this waits until it has handled everything up to the head. Fails as
 * `run` does.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Consumer } from "@caravel/pubsub"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   return yield* Consumer.handleOnce({
 *     name: "billing",
 *     from: "beginning",
 *     handle: (activity) => Effect.log(activity.activityType)
 *   })
 * })
 *
 * // { handled: 1, parked: 0, position: 1 }
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const handleOnce = <E, R>(options: Options<E, R>): Effect.Effect<Handled, RunError, Consumer | R> =>
  Effect.flatMap(Consumer, (consumer) => consumer.handleOnce(options))

/**
 * Waits until a consumer, in any process, has handled everything up to a position of the journal. You can call this
 * before the consumer is first run. Fails with `ConsumerHalted` if the consumer has halted and does not run in this
 * process. In a handler of the same consumer, fails with `ConsumerWaitsForItself` at once, unless the position is
 * already handled.
 *
 * @since 0.1.0
 * @category accessors
 */
export const awaitPosition = (
  name: string,
  position: number,
  options?: { readonly epoch?: string | undefined }
): Effect.Effect<void, AwaitError, Consumer> =>
  Effect.flatMap(Consumer, (consumer) => consumer.awaitPosition(name, position, options))

/**
 * Returns the state of a consumer: its backlog, when it last moved, what failed, and the owner of its lease.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lag = (name: string): Effect.Effect<Lag, ConsumerNotFound | StorageError, Consumer> =>
  Effect.flatMap(Consumer, (consumer) => consumer.lag(name))

/**
 * Returns the state of all consumers, sorted by name.
 *
 * @since 0.1.0
 * @category accessors
 */
export const list: Effect.Effect<ReadonlyArray<Lag>, StorageError, Consumer> = Effect.flatMap(
  Consumer,
  (consumer) => consumer.list
)

/**
 * Returns the parked activities of a consumer and their errors, oldest first.
 *
 * @since 0.1.0
 * @category parking
 */
export const parked = (
  name: string,
  page?: { readonly after?: number | undefined; readonly limit?: number | undefined }
): Effect.Effect<ReadonlyArray<Parked>, ConsumerNotFound | StorageError | ParseResult.ParseError, Consumer> =>
  Effect.flatMap(Consumer, (consumer) => consumer.parked(name, page))

/**
 * Handles a consumer's parked activities again, in order; the consumer may be running. An activity that succeeds is
 * unparked, with `transactional` in the handler's transaction. An activity that fails again stays parked, as do those
 * that wait behind it. Once a resource has no parked activities, the consumer handles its activities again. If another
 * fiber or process is replaying, this waits for it.
 *
 * @since 0.1.0
 * @category parking
 */
export const replay = <E, R>(
  options: ReplayOptions<E, R>
): Effect.Effect<{ readonly replayed: number; readonly failed: number }, ReplayError, Consumer | R> =>
  Effect.flatMap(Consumer, (consumer) => consumer.replay(options))

/**
 * Requests a replay of parked activities from the process that runs a consumer, and waits until it is done. That
 * process replays with its own handler. If no process runs the consumer, the request is kept for the next run.
 *
 * @since 0.1.0
 * @category parking
 */
export const requestReplay = (
  name: string
): Effect.Effect<
  void,
  ConsumerNotFound | ConsumerWaitsForItself | PositionFromOtherEpoch | StorageError,
  Consumer
> => Effect.flatMap(Consumer, (consumer) => consumer.requestReplay(name))

/**
 * Deletes all parked activities, or those at the given positions. Returns how many were deleted.
 *
 * @since 0.1.0
 * @category parking
 */
export const drop = (
  name: string,
  positions?: ReadonlyArray<number>
): Effect.Effect<number, ConsumerNotFound | StorageError | ParseResult.ParseError, Consumer> =>
  Effect.flatMap(Consumer, (consumer) => consumer.drop(name, positions))

/**
 * Moves a consumer to a position, backward or forward; the consumer may be running. Activities after the position are
 * handled, even if they were handled before. Activities parked after the position are deleted. The consumer continues
 * in the journal's epoch.
 *
 * @since 0.1.0
 * @category parking
 */
export const reset = (
  name: string,
  position: number,
  options?: { readonly epoch?: string | undefined }
): Effect.Effect<
  void,
  ConsumerNotFound | PositionFromOtherEpoch | StorageError | ParseResult.ParseError,
  Consumer
> => Effect.flatMap(Consumer, (consumer) => consumer.reset(name, position, options))
