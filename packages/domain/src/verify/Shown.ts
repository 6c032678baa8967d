import { DateTime, Record as Rec, Schema } from "effect"
import { secretFields } from "../model/Resource.js"
import { SecretId } from "../model/Tenant.js"

/** A row that may be damaged: its fields, decoded as far as possible. */
export type Found = { readonly [field: string]: unknown }

export const isSecretId = Schema.is(SecretId)

export const redacted = "<redacted>"

/**
 * A value as JSON. A value that should be a reference to a secret but is not one is redacted: it may be the secret
 * itself.
 */
export const shown = (field: string, value: unknown): unknown =>
  secretFields.has(field) && value !== null && !isSecretId(value)
    ? redacted
    : DateTime.isDateTime(value)
    ? DateTime.formatIso(value)
    : value ?? null

export const shownRow = (row: Found): Found => Rec.map(row, (value, field) => shown(field, value))
