/** How long relays were active, and on which plan: the basis of bills. */
import { DateTime, Schema } from "effect"
import { Instant } from "../model/Moment.js"
import type { PlanId, RelayId } from "../model/Relay.js"

/**
 * A relay was active on a plan from `from` (inclusive) to `to` (exclusive).
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  readonly relay: RelayId
  readonly plan: PlanId
  readonly from: DateTime.Utc
  readonly to: DateTime.Utc
}

/**
 * The period to meter: `from` is inclusive, `to` is exclusive.
 *
 * @since 0.1.0
 * @category models
 */
export const Period = Schema.Struct({ from: Instant, to: Instant }).pipe(
  Schema.filter(({ from, to }) =>
    DateTime.lessThanOrEqualTo(from, to) || "Expected a period that does not end before it begins"
  )
)

/**
 * @since 0.1.0
 * @category models
 */
export interface Period extends Schema.Schema.Type<typeof Period> {}
