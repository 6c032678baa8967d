/**
 * A durable consumer that keeps a relay host in step with the relays of the database.
 *
 * It follows the activity log, sends each relay's current configuration to the host, and reports the outcome. You can
 * kill it at any point and continue in another process: every step is idempotent, and none is skipped.
 */
import { type Activity, ActivityType, Command, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { type Duration, Effect, Option, Schedule } from "effect"
import { RelayHost } from "./RelayHost.js"

/**
 * The name of the provisioner's consumer.
 *
 * @since 0.1.0
 * @category models
 */
export const name = "provisioner"

/**
 * Whether it follows the activities of a type: those that change what the host must do. Its own reports are activities
 * too; if it followed them, it would follow itself.
 */
const follows: { readonly [Type in ActivityType]: boolean } = {
  create_tenant: false,
  update_tenant: false,
  create_relay: true,
  update_relay: true,
  deactivate_relay: true,
  activate_relay: true,
  fail_relay_sync: false,
  complete_relay_sync: false
}

/**
 * Settings that a test or a deployment may change.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** When a failed call is retried before its relay is parked; by default six times within about a minute. */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** How often parked relays are retried; every minute by default. */
  readonly replayEvery?: Duration.DurationInput | undefined
  /** See `Consumer.run`. */
  readonly leaseDuration?: Duration.DurationInput | undefined
  /** See `Consumer.run`: how long a call to the host in progress may take when the process is stopped. */
  readonly stopTimeout?: Duration.DurationInput | undefined
}

const backoff = Schedule.exponential("1 second").pipe(Schedule.jittered, Schedule.intersect(Schedule.recurs(6)))

/**
 * Sends the relay of an activity to the host, and reports the outcome.
 *
 * Only the relay's id is taken from the activity: the host receives the relay as it is *now*. It therefore does not
 * matter whether an activity is handled twice, or late, after others.
 *
 * @since 0.1.0
 * @category execution
 */
export const handle = Effect.fn("Provisioner.handle")(function*(activity: Activity) {
  const command = yield* Command
  const query = yield* Query
  const host = yield* RelayHost

  const found = yield* query.relay(activity.resourceId)
  if (Option.isNone(found)) return
  const relay = found.value

  yield* host.put(relay).pipe(
    // Reported at once, so that the relay's owner learns why it is not served, but only once, however often it is
    // retried.
    Effect.tapError(({ reason }) => relay.syncError === reason ? Effect.void : command.failRelaySync(relay, reason))
    // The error is passed on to the consumer, which retries.
  )
  yield* command.completeRelaySync(relay.id)
})

/**
 * Follows the relays forever. If several processes run this, one works and the others stand by.
 *
 * @since 0.1.0
 * @category execution
 */
export const run = (options: Options = {}) => {
  const { leaseDuration, replayEvery = "1 minute", retry = backoff, stopTimeout } = options

  const follow = Consumer.run({
    name,
    from: "beginning",
    filter: { activityType: ActivityType.literals.filter((type) => follows[type]) },
    handle,
    // A host that hangs on one relay does not delay the others. Each relay's changes stay in order.
    concurrency: 8,
    // A call to the host cannot be rolled back and must not keep a transaction open, so the handler is not
    // `transactional` and may run twice.
    transactional: false,
    retry,
    // A relay that cannot be provisioned is parked, with its later activities, and the others continue.
    onFailure: "parkResource",
    leaseDuration,
    stopTimeout
  })

  // Parked relays are retried periodically, so that a host's outage of an hour needs no operator.
  const replay = Consumer.replay({ name, handle, leaseDuration, stopTimeout }).pipe(
    Effect.catchTag("ConsumerNotFound", () => Effect.void),
    Effect.repeat(Schedule.spaced(replayEvery)),
    Effect.zipRight(Effect.never)
  )

  // An interrupted race would not wait until both have let their handlers end.
  return Effect.all([follow, replay], { concurrency: "unbounded", discard: true }).pipe(Effect.zipRight(Effect.never))
}
