/** The tables, and how the domain's values are encoded in their rows. */
import {
  Activity,
  Position,
  type Refusal,
  RelayAlreadyExists,
  RelayNotFound,
  SecretId,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "@caravel/domain"
import { type Upcasters, upcasters as allUpcasters } from "@caravel/domain/adapter"
import { Schema } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import * as Table from "../statement/Table.js"
import * as EventTable from "./EventTable.js"
import { importFields, importRefusalFields } from "./ImportTables.js"
import * as ResourceTables from "./ResourceTables.js"
import * as SecretCodec from "./SecretCodec.js"
import * as SecretTable from "./SecretTable.js"

const { Instant } = Table

const refusal: Schema.Schema<Refusal, any> = Schema.Union(
  TenantAlreadyExists,
  TenantNotFound,
  RelayAlreadyExists,
  RelayNotFound,
  SubdomainTaken,
  VersionConflict
)

const idempotencyFields = {
  id: Schema.String,
  identity: Schema.String,
  /** The position of the command's first event; null if the command was refused. */
  position: Schema.NullOr(Position),
  events: Schema.NonNegativeInt,
  refusal: Schema.NullOr(Schema.parseJson(refusal)),
  createdAt: Instant
}

/** The stored outcome of a command with an idempotency key. */
export interface IdempotencyRow extends Schema.Struct.Type<typeof idempotencyFields> {}

/** Whether a row is an outcome: a refusal, or events that can be in a journal that ends at `head`. */
export const isOutcome = (
  { events, position, refusal }: Pick<IdempotencyRow, "events" | "position" | "refusal">,
  head: number
): boolean => position === null ? refusal !== null : events > 0 && position > 0 && position + events - 1 <= head

/**
 * The tables in a dialect. The upcasters decode events of older versions. The codec encodes secrets; by default they
 * are stored in clear.
 */
export const make = (
  dialect: Dialect,
  { secrets = SecretCodec.clear, upcasters = allUpcasters }: {
    readonly secrets?: SecretCodec.SecretCodec
    readonly upcasters?: Upcasters
  } = {}
) => ({
  event: EventTable.make(dialect, upcasters),
  activity: Table.make("caravel_activity", { ...Activity.fields, createdAt: Instant }, Activity.prototype),
  ...ResourceTables.make(dialect, secrets),
  secret: SecretTable.make(secrets),
  /** The secrets without their values. */
  secretId: Table.make("caravel_secret", { id: SecretId }),
  idempotency: Table.make("caravel_idempotency", idempotencyFields),
  import: Table.make("caravel_import", importFields),
  importRefusal: Table.make("caravel_import_refusal", importRefusalFields)
})

export type {
  /** Why rows cannot be decoded. */
  Unreadable
} from "./EventTable.js"
