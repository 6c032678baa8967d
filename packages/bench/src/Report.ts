/** A run as data. */
import { Schema } from "effect"
import { Machine } from "./Machine.js"
import { Series } from "./Results.js"
import { Settings } from "./Settings.js"
import { Target } from "./Targets.js"

/**
 * What `--json` writes.
 *
 * @since 0.1.0
 * @category models
 */
export const Report = Schema.Struct({
  /** When the run began. */
  date: Schema.DateTimeUtc,
  command: Schema.String,
  machine: Machine,
  settings: Settings,
  targets: Schema.Array(Target),
  series: Schema.Array(Series)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Report extends Schema.Schema.Type<typeof Report> {}

/**
 * A report as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export const Json = Schema.parseJson(Report, { space: 2 })
