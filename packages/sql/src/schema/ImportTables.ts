/** The columns of the tables `caravel_import` and `caravel_import_refusal`. */
import { RefusalKind } from "@caravel/domain/adapter"
import { Schema } from "effect"
import { Instant } from "../statement/Table.js"

/** The columns of `caravel_import`. */
export const importFields = {
  /** The hash of the source's rows. */
  id: Schema.String,
  /** The path of the source. */
  source: Schema.String,
  /** How many of its activities, tenants and relays, in this order, have been imported or refused. */
  items: Schema.NonNegativeInt,
  activities: Schema.NonNegativeInt,
  tenants: Schema.NonNegativeInt,
  relays: Schema.NonNegativeInt,
  refused: Schema.NonNegativeInt,
  /** How many activities received a new id. */
  renamed: Schema.NonNegativeInt,
  /** How many events have been appended. */
  events: Schema.NonNegativeInt,
  startedAt: Instant,
  finishedAt: Schema.NullOr(Instant)
}

/** The progress of an import. */
export interface ImportRow extends Schema.Struct.Type<typeof importFields> {}

/** The columns of `caravel_import_refusal`. */
export const importRefusalFields = {
  import: Schema.String,
  /** The number of the item in the import, from 1. */
  item: Schema.NonNegativeInt,
  tableName: Schema.Literal("tenant", "relay", "activity"),
  key: Schema.String,
  kind: RefusalKind,
  reason: Schema.String
}

/** A row that an import refused, and why. */
export interface ImportRefusalRow extends Schema.Struct.Type<typeof importRefusalFields> {}
