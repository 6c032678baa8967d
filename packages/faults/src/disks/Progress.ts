/** What the process that tries disks tells its parent, one line of JSON at a time. */
import { Schema } from "effect"

export const Progress = Schema.Union(
  /** A case begins: if the process crashes, this case is the reason. */
  Schema.TaggedStruct("Begun", { group: Schema.String, name: Schema.String }),
  /** Something happened in a case that is counted. */
  Schema.TaggedStruct("Counted", { what: Schema.String }),
  Schema.TaggedStruct("Found", { title: Schema.String, details: Schema.String })
)

export type Progress = typeof Progress.Type

export const Line = Schema.parseJson(Progress)
