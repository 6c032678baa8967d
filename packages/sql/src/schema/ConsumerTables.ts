/** The columns of the tables `caravel_consumer`, `caravel_lease` and `caravel_parked`. */
import { Epoch, Position, ResourceType } from "@caravel/domain"
import { ConsumerStore } from "@caravel/pubsub"
import { Schema } from "effect"
import { Instant } from "../statement/Table.js"

/** The columns of `caravel_consumer`. */
export const consumerFields = {
  name: Schema.String,
  position: Position,
  epoch: Epoch,
  filter: Schema.parseJson(ConsumerStore.Filter),
  attempts: Schema.NonNegativeInt,
  failedPosition: Schema.NullOr(Position),
  lastError: Schema.NullOr(Schema.String),
  progressedAt: Schema.NullOr(Instant),
  replaysRequested: Schema.NonNegativeInt,
  replaysDone: Schema.NonNegativeInt
}

/** The columns of `caravel_lease`. */
export const leaseFields = {
  consumer: Schema.String,
  task: ConsumerStore.Task,
  fence: Schema.NonNegativeInt,
  heartbeat: Schema.NonNegativeInt,
  owner: Schema.NullOr(Schema.String)
}

/** The columns of `caravel_parked`. */
export const parkedFields = {
  consumer: Schema.String,
  position: Position,
  resourceType: ResourceType,
  resourceId: Schema.String,
  attempts: Schema.NonNegativeInt,
  error: Schema.NullOr(Schema.String),
  parkedAt: Instant
}
