/** The errors of durable consumers. */
import { Position } from "@caravel/domain"
import { Duration, Schema } from "effect"
import { describe } from "./HandlerFailure.js"

/**
 * The handler failed at an activity until its retries were exhausted, and the consumer stopped there. To recover, fix
 * the cause and run the consumer again, or skip the activity: run with `onFailure: "park"`, or `Consumer.reset` to this
 * position.
 */
export class ConsumerHalted extends Schema.TaggedError<ConsumerHalted>("@caravel/pubsub/ConsumerHalted")(
  "ConsumerHalted",
  {
    consumer: Schema.String,
    position: Position,
    attempts: Schema.Int,
    /** The handler's last failure; as text if it was read from the database. */
    cause: Schema.Defect
  }
) {
  override get message() {
    const attempts = this.attempts === 1 ? "one attempt" : `${this.attempts} attempts`
    return `Consumer ${this.consumer} halted at position ${this.position} after ${attempts}: ${
      describe(this.cause)
    }. ` +
      `Fix the cause and run it again, or skip the activity: caravel consumers reset ${this.consumer} --to ${this.position} --yes`
  }
}

/** No consumer of this name has ever run. To recover, run it, or look up its name in `Consumer.list`. */
export class ConsumerNotFound extends Schema.TaggedError<ConsumerNotFound>("@caravel/pubsub/ConsumerNotFound")(
  "ConsumerNotFound",
  { consumer: Schema.String }
) {
  override get message() {
    return `There is no consumer ${JSON.stringify(this.consumer)}; it is registered when it is first run`
  }
}

/**
 * A handler was about to wait for its own consumer, which continues only once the handler has ended. To recover, wait
 * outside of the handler, and not in a fiber that it forks.
 */
export class ConsumerWaitsForItself
  extends Schema.TaggedError<ConsumerWaitsForItself>("@caravel/pubsub/ConsumerWaitsForItself")(
    "ConsumerWaitsForItself",
    { consumer: Schema.String }
  )
{
  override get message() {
    return `A handler of consumer ${JSON.stringify(this.consumer)} cannot wait for this consumer, which continues ` +
      "only once the handler has ended; wait outside of the handler"
  }
}

/** A handler took longer than its consumer's `handlerTimeout` and was interrupted. It counts as a failed attempt. */
export class HandlerTimeout extends Schema.TaggedError<HandlerTimeout>("@caravel/pubsub/HandlerTimeout")(
  "HandlerTimeout",
  { handlerTimeout: Schema.Duration }
) {
  override get message() {
    return `The handler took longer than ${Duration.format(this.handlerTimeout)} and was interrupted`
  }
}
