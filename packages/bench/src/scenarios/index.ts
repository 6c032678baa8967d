import type { Scenario } from "../Scenario.js"
import * as Alone from "./Alone.js"
import * as Broadcast from "./Broadcast.js"
import * as Callers from "./Callers.js"
import * as CatchUp from "./CatchUp.js"
import * as Consuming from "./Consuming.js"
import * as Delivery from "./Delivery.js"
import * as Growth from "./Growth.js"
import * as History from "./History.js"
import * as Http from "./Http.js"
import * as Opening from "./Opening.js"
import * as PeakMemory from "./PeakMemory.js"
import * as Postgres from "./Postgres.js"
import * as ProcessDelivery from "./ProcessDelivery.js"
import * as Reads from "./Reads.js"
import * as Size from "./Size.js"
import * as Verification from "./Verification.js"

/**
 * All scenarios, in the order in which they run.
 *
 * @since 0.1.0
 * @category scenarios
 */
export const scenarios: { readonly [name: string]: Scenario } = {
  callers: Callers.scenario,
  alone: Alone.scenario,
  size: Size.scenario,
  growth: Growth.scenario,
  delivery: Delivery.scenario,
  "sqlite-delivery": ProcessDelivery.sqlite,
  broadcast: Broadcast.scenario,
  "catch-up": CatchUp.scenario,
  consuming: Consuming.scenario,
  history: History.scenario,
  http: Http.scenario,
  reads: Reads.scenario,
  opening: Opening.scenario,
  memory: PeakMemory.scenario,
  verify: Verification.verify,
  rebuild: Verification.rebuild,
  postgres: Postgres.scenario,
  "postgres-delivery": ProcessDelivery.postgres
}
