/** The lines of a verification's answer. */
import { Drift, Position, type Verification } from "@caravel/domain"
import { Schema } from "effect"

const clock = Schema.Union(
  Schema.TaggedStruct("ClockJump", {
    position: Position,
    createdAt: Schema.DateTimeUtc,
    previous: Schema.DateTimeUtc
  }),
  Schema.TaggedStruct("ClockOffset", { millis: Schema.Number })
)

const step: Schema.Schema<Verification, any> = Schema.Struct({
  events: Schema.Int,
  head: Position,
  tenants: Schema.Int,
  relays: Schema.Int,
  secrets: Schema.Int,
  differences: Schema.Array(Drift),
  clocks: Schema.Array(clock)
})

/**
 * A line of the answer that is no problem: a step, or the last line.
 *
 * @since 0.1.0
 * @category models
 */
export const VerifyLine = Schema.Union(Schema.Struct({ complete: Schema.Literal(true), drifts: Schema.Int }), step)
