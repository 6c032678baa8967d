/**
 * Durable consumers: named readers of the activity log that go on where they were, in whatever process, and miss nothing.
 *
 * Each name is run by one process at a time, under a lease; others that run it wait for their turn.
 */
import { Journal, type PositionFromOtherEpoch, Query, type StorageError } from "@caravel/domain"
import { Context, Effect, Layer, type ParseResult } from "effect"
import { Tail } from "../tail/Tail.js"
import type { ConsumerNotFound, ConsumerWaitsForItself } from "./ConsumerError.js"
import type { AwaitError, Lag, Options, ReplayError, ReplayOptions, RunError, Service } from "./ConsumerModel.js"
import { make } from "./ConsumerService.js"
import { ConsumerStore } from "./ConsumerStore.js"
import type { Parked } from "./Parking.js"

/**
 * Why a consumer ends, or cannot be found.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./ConsumerError.js"

/**
 * What a consumer is given, and what it tells.
 *
 * @since 0.1.0
 * @category exports
 */
export * from "./ConsumerModel.js"

/**
 * Durable consumers over an adapter's `ConsumerStore`. The functions of this module go by it.
 *
 * @since 0.1.0
 * @category services
 */
export class Consumer extends Context.Tag("@caravel/pubsub/Consumer")<Consumer, Service>() {}

/**
 * The service over an adapter's store, journal and tail.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Consumer, never, ConsumerStore | Journal | Query | Tail> = Layer.scoped(
  Consumer,
  Effect.flatMap(Effect.all({ store: ConsumerStore, journal: Journal, query: Query, tail: Tail }), make)
)

/**
 * Runs a consumer for ever: every activity that passes its filter is handled at least once, in order, and with
 * `transactional` exactly once. Where another process, or another fiber, runs it already, waits for its turn.
 *
 * While a database is busy or away it waits. It ends with `ConsumerHalted` when a handler has failed for good, or with a
 * `StorageError` that does not pass; interrupted, it lets the handler end, for `stopTimeout` at most, and gives its lease
 * back. Where the journal was restored from a backup, since it was made or
 * while it runs, it ends with `PositionFromOtherEpoch`: what it has done after the backup no longer happened, and only
 * who knows what that was can tell where to `reset` it to.
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
 * Waits until a consumer, in whatever process, has done everything up to a position of the journal; also for one that has
 * yet to be run. Fails with `ConsumerHalted` when it has halted and does not run in this process. In a handler of the same
 * consumer it fails with `ConsumerWaitsForItself` at once, unless the position is done.
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
 * How a consumer stands: what it has before it, when it last moved, what failed, and who runs it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lag = (name: string): Effect.Effect<Lag, ConsumerNotFound | StorageError, Consumer> =>
  Effect.flatMap(Consumer, (consumer) => consumer.lag(name))

/**
 * How all consumers stand, by name.
 *
 * @since 0.1.0
 * @category accessors
 */
export const list: Effect.Effect<ReadonlyArray<Lag>, StorageError, Consumer> = Effect.flatMap(
  Consumer,
  (consumer) => consumer.list
)

/**
 * What a consumer has parked, oldest first, with what it failed with.
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
 * Handles what a consumer has parked, in order, while that may go on running. What succeeds leaves the parking, with
 * `transactional` in the same transaction; what fails again stays, and what waits behind it. A resource that has nothing
 * parked any more flows again. Where somebody else replays already, waits for its turn.
 *
 * @since 0.1.0
 * @category parking
 */
export const replay = <E, R>(
  options: ReplayOptions<E, R>
): Effect.Effect<{ readonly replayed: number; readonly failed: number }, ReplayError, Consumer | R> =>
  Effect.flatMap(Consumer, (consumer) => consumer.replay(options))

/**
 * Has whoever runs a consumer, in whatever process, replay what is parked with its own handler, and waits until that is
 * done. Where nobody runs it, the request is kept for who does next.
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
 * Gives parked activities up, all or those at some positions, and how many that were.
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
 * Moves a consumer to a position, back or forth, while it may go on running: what comes after is handled, once more where
 * it has been. What is parked after the position leaves the parking. It goes on in the journal's epoch, whatever its was.
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
