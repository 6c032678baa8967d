/** Billing on the SQLite file that `CARAVEL_DATABASE` names. */
import { Sqlite } from "@caravel/sql"
import { Config, Layer } from "effect"
import { Billing } from "./Billing.js"

export const layer = Layer.provideMerge(
  Billing.Default,
  Sqlite.layerConfig({ filename: Config.withDefault(Config.string("CARAVEL_DATABASE"), "data/billing.db") })
)
