/** What a durable consumer can fail with. */
import { Position } from "@caravel/domain"
import { Schema } from "effect"

/**
 * The handler has failed at an activity until its schedule was exhausted, and the consumer stands there. To recover, cure
 * the cause and run it again, or pass it by: `onFailure: "park"`, or `Consumer.reset` to this position.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerHalted extends Schema.TaggedError<ConsumerHalted>("@caravel/pubsub/ConsumerHalted")(
  "ConsumerHalted",
  {
    name: Schema.String,
    position: Position,
    attempts: Schema.Int,
    cause: Schema.Defect
  }
) {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `Consumer ${this.name} halted at position ${this.position} after ${this.attempts} attempts: ${cause} ` +
      `(cure the cause and run it again, or pass it by with Consumer.reset to ${this.position})`
  }
}

/**
 * No consumer of this name has ever run. To recover, run it, or look for its name in `Consumer.list`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConsumerNotFound extends Schema.TaggedError<ConsumerNotFound>("@caravel/pubsub/ConsumerNotFound")(
  "ConsumerNotFound",
  { name: Schema.String }
) {
  override get message() {
    return `There is no consumer ${JSON.stringify(this.name)}; it is made when it is first run`
  }
}
