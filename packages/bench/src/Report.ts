/** A run as data. */
import { Schema } from "effect"
import { Machine } from "./Machine.js"
import { Series } from "./Results.js"
import { Settings } from "./Settings.js"
import { Target } from "./Targets.js"

/** The output of `--json`. */
export const Report = Schema.Struct({
  /** When the run started. */
  date: Schema.DateTimeUtc,
  command: Schema.String,
  machine: Machine,
  settings: Settings,
  targets: Schema.Array(Target),
  series: Schema.Array(Series)
})

export interface Report extends Schema.Schema.Type<typeof Report> {}

/** A report as JSON. */
export const Json = Schema.parseJson(Report, { space: 2 })
