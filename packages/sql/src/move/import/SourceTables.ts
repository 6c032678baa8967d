/** The tables that an import reads: their columns, and how another program's values are decoded to the model's. */
import {
  Activity,
  ActivityType,
  defaultRelayOptions,
  NwcUrl,
  Pubkey,
  Relay,
  RelayId,
  RelayOptions,
  RelayStatus,
  ResourceType,
  StripeId,
  Tenant
} from "@caravel/domain"
import { Diagnostic, expected, Label } from "@caravel/domain/adapter"
import { Record as Rec, Redacted, Schema, type SchemaAST, Struct } from "effect"
import { isBoolean, isInstant, storedFields } from "../../schema/StoredFields.js"
import { sqlite } from "../../sqlite/SqliteDialect.js"
import * as Table from "../../statement/Table.js"

const UnixSeconds = Schema.transform(
  Schema.Int.pipe(Schema.between(0, 253_402_300_799)).annotations(
    expected("an instant in Unix seconds, before the year 10000")
  ),
  Schema.DateTimeUtcFromNumber,
  { decode: (seconds) => seconds * 1000, encode: (millis) => millis / 1000 }
)

/** Decodes null, also of a missing column, as the model's default. */
const withDefault = <A, I>(schema: Schema.Schema<A, I>, value: A) =>
  Schema.transform(Schema.NullOr(schema), Schema.typeSchema(schema), {
    strict: true,
    decode: (given) => given ?? value,
    encode: (value) => value
  })

/** Decodes an empty text as null: some programs store it for a missing value. */
const unlessEmpty = <A>(schema: Schema.Schema<A, string>) =>
  Schema.transform(Schema.NullOr(Schema.String), Schema.NullOr(schema), {
    strict: true,
    decode: (text) => text === "" ? null : text,
    encode: (text) => text
  })

const nwcUrl = Schema.transform(Schema.NullOr(Schema.Redacted(Schema.String)), Schema.NullOr(NwcUrl), {
  strict: true,
  decode: (url) => url !== null && Redacted.value(url) === "" ? null : url,
  encode: (url) => url
}).annotations({
  // The invalid value may be a secret too, so it is not shown.
  message: () => ({ message: "Expected a URL that begins with nostr+walletconnect://", override: true })
})

/** A literal, with an error message that lists the allowed words. */
const oneOf = <A extends string>(words: Schema.Literal<[A, ...Array<A>]>) =>
  words.annotations(expected(`one of ${words.literals.join(", ")}`))

/** The source's encoding of the model's instants and booleans. */
const encoding = (ast: SchemaAST.AST) =>
  isInstant(ast) ? UnixSeconds : isBoolean(ast) ? sqlite.boolean.annotations(expected("0 or 1")) : undefined

export const activity = Table.make("activity", {
  ...Struct.omit(Activity.fields, "position"),
  id: Schema.Union(Label, Schema.Int).annotations(expected("a text of 1 to 256 characters, or an integer")),
  activityType: oneOf(ActivityType),
  resourceType: oneOf(ResourceType),
  resourceId: Schema.Union(Pubkey, RelayId).annotations(expected("a public key or a relay id")),
  createdAt: UnixSeconds
})

export const tenant = Table.make("tenant", {
  ...storedFields(Struct.omit(Tenant.fields, "version"), encoding),
  nwcUrl,
  nwcError: Schema.NullOr(Diagnostic),
  stripeCustomerId: unlessEmpty(StripeId),
  stripeSubscriptionId: unlessEmpty(StripeId)
})

/** A relay's options have defaults, so a source may lack their columns. */
const options = Rec.map(
  storedFields(RelayOptions.fields, encoding),
  (schema: Schema.Schema<any, any>, name) => withDefault(schema, defaultRelayOptions[name])
) as { readonly [Name in keyof RelayOptions]: Schema.Schema<RelayOptions[Name], any> }

export const relay = Table.make("relay", {
  ...storedFields(Struct.omit(Relay.fields, "version"), encoding),
  ...options,
  status: oneOf(RelayStatus),
  synced: withDefault(sqlite.boolean.annotations(expected("0 or 1")), false),
  syncError: withDefault(Diagnostic, ""),
  stripeSubscriptionItemId: unlessEmpty(StripeId)
})

/**
 * Expressions that read columns exactly. The driver would round an integer that is not safe, so it is read as a text;
 * other ids are read as they are stored.
 */
export const exact: { readonly [table: string]: { readonly [field: string]: string } } = {
  activity: {
    id: `CASE WHEN typeof(activity.id) = 'integer'
      AND activity.id NOT BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER}
      THEN CAST(activity.id AS TEXT) ELSE activity.id END`
  }
}

/** The columns that each table must have. Other columns have defaults. */
export const required: { readonly [table: string]: ReadonlyArray<string> } = {
  activity: Struct.keys(activity.at),
  tenant: ["pubkey", "createdAt"],
  relay: ["id", "tenant", "subdomain", "status", "createdAt"]
}
