/** How imports stand in the tables `import` and `import_refusal`. */
import { RefusalKind } from "@caravel/domain"
import { Schema } from "effect"
import { Instant } from "../statement/Table.js"

/** The columns of `import`. */
export const importFields = {
  /** The hash of what is imported. */
  id: Schema.String,
  /** The file that it was read from. */
  source: Schema.String,
  /** How many of its activities, tenants and relays, in this order, have been imported or refused. */
  items: Schema.NonNegativeInt,
  activities: Schema.NonNegativeInt,
  tenants: Schema.NonNegativeInt,
  relays: Schema.NonNegativeInt,
  refused: Schema.NonNegativeInt,
  /** How many activities have got another id. */
  renamed: Schema.NonNegativeInt,
  /** How many events it has come to. */
  events: Schema.NonNegativeInt,
  startedAt: Instant,
  finishedAt: Schema.NullOr(Instant)
}

/** How far an import is. */
export interface ImportRow extends Schema.Struct.Type<typeof importFields> {}

/** The columns of `import_refusal`. */
export const importRefusalFields = {
  import: Schema.String,
  /** Which of the import's items it is, from 1. */
  item: Schema.NonNegativeInt,
  tableName: Schema.Literal("tenant", "relay", "activity"),
  key: Schema.String,
  kind: RefusalKind,
  reason: Schema.String
}

/** What an import has refused, and why. */
export interface ImportRefusalRow extends Schema.Struct.Type<typeof importRefusalFields> {}
