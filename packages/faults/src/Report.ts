/** A run as data. */
import { Machine } from "@caravel/bench"
import { Schema } from "effect"

const Finding = Schema.Struct({ title: Schema.String, details: Schema.String })

/** The part of one kind. */
export const Part = Schema.Struct({
  kind: Schema.String,
  /** Why it did not run, if so. */
  skipped: Schema.optional(Schema.String),
  seconds: Schema.Number,
  tried: Schema.Record({ key: Schema.String, value: Schema.Number }),
  findings: Schema.Array(Finding)
})

export interface Part extends Schema.Schema.Type<typeof Part> {}

/** The output of `--json`. */
export const Report = Schema.Struct({
  /** When the run started. */
  date: Schema.DateTimeUtc,
  command: Schema.String,
  seed: Schema.Number,
  machine: Machine.Machine,
  parts: Schema.Array(Part)
})

export interface Report extends Schema.Schema.Type<typeof Report> {}

/** A report as JSON. */
export const Json = Schema.parseJson(Report, { space: 2 })
