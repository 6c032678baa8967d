/** The messages between processes. */
import { Schema } from "effect"
import { Case } from "./Case.js"
import { Settings } from "./Settings.js"

/** A part of a sample that several processes take together. */
export const Part = Schema.Struct({
  /** The URL of the schema that they share. */
  url: Schema.String,
  index: Schema.Number,
  of: Schema.Number
})

export interface Part extends Schema.Schema.Type<typeof Part> {}

/** Asks a process for a sample. */
export const Request = Schema.Struct({
  scenario: Schema.String,
  value: Case,
  settings: Settings,
  directory: Schema.String,
  own: Schema.String,
  part: Schema.optionalWith(Part, { exact: true })
})

export interface Request extends Schema.Schema.Type<typeof Request> {}

/** The sample, or the reason why there is none. */
export const Reply = Schema.Union(
  Schema.TaggedStruct("Sample", {
    figures: Schema.Record({ key: Schema.String, value: Schema.JsonNumber }),
    /** The peak memory of the process so far, in MiB. */
    peakMiB: Schema.JsonNumber
  }),
  Schema.TaggedStruct("Failure", { reason: Schema.String })
)

export type Reply = typeof Reply.Type
