/**
 * A durable consumer that keeps a relay host in step with the relays of the database.
 *
 * It follows the activity log, puts the relay's present configuration to the host, and reports what came of it. It may be
 * killed at any point and go on in another process: every step can be done twice, and none is passed by.
 */
import { type Activity, Command, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { type Duration, Effect, Option, Schedule } from "effect"
import { RelayHost } from "./RelayHost.js"

/** The name under which the database knows how far the provisioner is. */
export const name = "provisioner"

/** What a test or a deployment may want to be otherwise. */
export interface Options {
  /** How a call that failed is tried again before its relay is parked; by default six times within about a minute. */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** How often what is parked is tried again; each minute by default. */
  readonly replayEvery?: Duration.DurationInput | undefined
  /** See `Consumer.run`. */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** See `Consumer.run`: a call to the host that is under way when the process is told to end has so long to be answered. */
  readonly stopTimeout?: Duration.DurationInput | undefined
}

const backoff = Schedule.exponential("1 second").pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(6)))

/**
 * Brings the host up to date about the relay that an activity is about, and reports the outcome.
 *
 * Of the activity only the relay's id is used: what the host gets is the relay as it is *now*. So it does not matter
 * whether an activity is handled twice, or late, when others have followed it.
 */
export const handle = Effect.fn("Provisioner.handle")(function*(activity: Activity) {
  const command = yield* Command
  const query = yield* Query
  const host = yield* RelayHost

  const found = yield* query.relay(activity.resourceId)
  if (Option.isNone(found)) return
  const relay = found.value

  yield* host.put(relay).pipe(
    // The relay's owner learns at once why it is not served, and once only, however often it is tried again.
    Effect.tapError(({ reason }) => relay.syncError === reason ? Effect.void : command.failRelaySync(relay, reason))
    // The failure goes on to the consumer, whose affair it is to try again.
  )
  yield* command.completeRelaySync(relay.id)
})

/** Follows the relays for ever. Where several processes run it, one works and the others stand by. */
export const run = (options: Options = {}) => {
  const { leaseDuration, replayEvery = "1 minute", retry = backoff, stopTimeout } = options

  const follow = Consumer.run({
    name,
    from: "beginning",
    // What it reports is an activity too: to follow complete_relay_sync and fail_relay_sync would be to follow itself.
    filter: { activityType: ["create_relay", "update_relay", "activate_relay", "deactivate_relay"] },
    handle,
    // A host that hangs on one relay does not keep the others waiting; each relay's changes stay in order.
    concurrency: 8,
    // A call to the host cannot be rolled back, and must not keep the database waiting either: so not `transactional`,
    // but a handler that may run twice.
    transactional: false,
    retry,
    // A relay that cannot be provisioned stands aside, with whatever happens to it later; the others go on.
    onFailure: "parkResource",
    leaseDuration,
    stopTimeout
  })

  // What stands aside gets another chance every now and then: a host that was away for an hour needs nobody's attention.
  const replay = Consumer.replay({ name, handle, leaseDuration, stopTimeout }).pipe(
    Effect.catchTag("ConsumerNotFound", () => Effect.void),
    Effect.repeat(Schedule.spaced(replayEvery)),
    Effect.zipRight(Effect.never)
  )

  // Interrupted, a race would not wait until both have let their handlers end.
  return Effect.all([follow, replay], { concurrency: "unbounded", discard: true }).pipe(Effect.zipRight(Effect.never))
}
