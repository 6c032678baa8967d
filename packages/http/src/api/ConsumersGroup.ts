/** The routes of durable consumers: how far each is, and what can be done about failures. */
import { Activity, Epoch, Position, PositionFromOtherEpoch } from "@caravel/domain"
import { NonEmptyText } from "@caravel/domain/adapter"
import { Consumer } from "@caravel/pubsub"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import * as Page from "./Page.js"
import * as Parameters from "./Parameters.js"
import * as Problem from "./Problem.js"
import { BodyTooLarge, ConsumerNotRunning, NotParked, UnsupportedMediaType } from "./RequestError.js"

const lag = Schema.Struct({
  name: Schema.String,
  position: Position,
  epoch: Epoch,
  attempts: Schema.Int,
  failedPosition: Schema.NullOr(Position),
  owner: Schema.NullOr(Schema.String),
  parked: Schema.Int,
  status: Schema.Literal("running", "retrying", "halted", "stopped"),
  activities: Schema.Int,
  seconds: Schema.Number,
  lastError: Schema.NullOr(Schema.String),
  progressedAt: Schema.NullOr(Schema.DateTimeUtc)
}).annotations({ identifier: "Consumer" })

const parked = Schema.Struct({
  activity: Activity.annotations({ identifier: "Activity" }),
  attempts: Schema.Int,
  error: Schema.NullOr(Schema.String),
  parkedAt: Schema.DateTimeUtc
}).annotations({ identifier: "Parked" })

const name = HttpApiSchema.param("name", NonEmptyText)

/**
 * @since 0.1.0
 * @category groups
 */
export const ConsumersGroup = HttpApiGroup.make("consumers")
  .add(
    HttpApiEndpoint.get("consumers", "/consumers")
      .addSuccess(Schema.Struct({ items: Schema.Array(lag) }))
      .annotate(OpenApi.Description, "All consumers: the position, the backlog and the failures of each.")
  )
  .add(
    HttpApiEndpoint.get("consumer")`/consumers/${name}`
      .addSuccess(lag)
      .addError(Problem.schema(Consumer.ConsumerNotFound))
      .annotate(OpenApi.Description, "A consumer.")
  )
  .add(
    HttpApiEndpoint.post("replay")`/consumers/${name}/replay`
      .addSuccess(lag)
      .addError(Problem.schema(Consumer.ConsumerNotFound))
      .addError(Problem.schema(ConsumerNotRunning))
      .addError(Problem.schema(PositionFromOtherEpoch))
      .annotate(
        OpenApi.Description,
        "Asks the program that runs the consumer to handle its parked activities again, oldest first, and waits for it."
      )
  )
  .add(
    HttpApiEndpoint.post("reset")`/consumers/${name}/reset`
      .setPayload(Parameters.Reset)
      .addSuccess(lag)
      .addError(Problem.schema(Consumer.ConsumerNotFound))
      .addError(Problem.schema(PositionFromOtherEpoch))
      .addError(Problem.schema(BodyTooLarge))
      .addError(Problem.schema(UnsupportedMediaType))
      .annotate(
        OpenApi.Description,
        "Moves a consumer backward or forward; it may be running. Activities after the position are handled, parked or not."
      )
  )
  .add(
    HttpApiEndpoint.get("parked")`/consumers/${name}/parked`
      .setUrlParams(Parameters.Parked)
      .addSuccess(Page.schema(parked))
      .addError(Problem.schema(Consumer.ConsumerNotFound))
      .annotate(OpenApi.Description, "The activities that a consumer has parked, oldest first.")
  )
  .add(
    HttpApiEndpoint.del("drop")`/consumers/${name}/parked/${HttpApiSchema.param("position", Parameters.position)}`
      .addError(Problem.schema(Consumer.ConsumerNotFound))
      .addError(Problem.schema(NotParked))
      .annotate(OpenApi.Description, "Drops a parked activity: it will not be handled.")
  )
