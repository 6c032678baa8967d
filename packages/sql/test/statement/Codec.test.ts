import { Activity, defaultRelayOptions, events, PlanId, Relay, TenantState } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, DateTime, Either, Equal, FastCheck, Record as Rec, Schema } from "effect"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import * as Codec from "../../src/statement/Codec.js"

const Instant = Schema.DateTimeUtcFromNumber

const schemas: { readonly [name: string]: Schema.Schema.AnyNoContext } = {
  ...Rec.mapKeys(Activity.fields, (name) => `Activity.${name}`),
  ...Rec.mapKeys(Relay.fields, (name) => `Relay.${name}`),
  ...Rec.mapKeys(TenantState.fields, (name) => `TenantState.${name}`),
  Instant,
  nullableInstant: Schema.NullOr(Instant),
  boolean: sqlite.boolean,
  secret: Schema.NullOr(Schema.Redacted(Schema.String)),
  transformedUnion: Schema.Union(Schema.NumberFromString, Schema.Boolean, Instant),
  template: Schema.TemplateLiteral("a", Schema.Number),
  tuple: Schema.Tuple(Schema.String),
  record: Schema.Record({ key: Schema.String, value: Schema.Number }),
  composition: Schema.compose(Schema.NumberFromString, Schema.Number.pipe(Schema.positive())),
  ...Rec.mapEntries(events, ({ fields: { changes } }, tag) => [
    `payload of ${tag}`,
    Schema.parseJson(changes as unknown as Schema.Schema.AnyNoContext)
  ])
}

const options = { ...defaultRelayOptions, plan: PlanId.make("basic-1") }

const relay = {
  subdomain: "a",
  ...options,
  status: "active",
  synced: false,
  syncError: "",
  stripeSubscriptionItemId: null
}
const row = { ...relay, createdAt: DateTime.unsafeMake(1_600_000_000_000) }

/** Values of schemas for which fast-check can generate none. */
const samples: { readonly [name: string]: ReadonlyArray<unknown> } = {
  "Relay.plan": ["free", "basic-1"],
  "payload of RelayUpdated": [options, { plan: "free" }, {}],
  "payload of RelayCreated": [relay],
  "payload of RelayImported": [row],
  "payload of RelayReconciled": [row]
}

const garbage = FastCheck.oneof(
  FastCheck.anything(),
  FastCheck.constantFrom(
    null,
    undefined,
    "",
    "null",
    "{}",
    "[]",
    "{\"status\":1}",
    0,
    1,
    -1,
    1.5,
    NaN,
    9e18,
    "a1",
    true
  )
)

describe("a compiled codec", () => {
  it.each(Object.entries(schemas))("of %s accepts, refuses and returns the same as its schema", (name, schema) => {
    const codec = Codec.make(schema.ast)
    const decode = Schema.decodeUnknownEither(schema)
    const encode = Schema.encodeSync(schema)
    const sample = samples[name]
    const typed = sample ? FastCheck.constantFrom(...sample) : Arbitrary.make(Schema.typeSchema(schema))
    const encoded = sample ? typed.map((value) => encode(value)) : Arbitrary.make(Schema.encodedSchema(schema))
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(encoded, garbage), (value) => {
        const expected = decode(value)
        const actual = codec.decode(value)
        if (Either.isLeft(expected)) expect(actual).toBe(Codec.invalid)
        else {expect(Equal.equals(actual, expected.right) || JSON.stringify(actual) === JSON.stringify(expected.right))
            .toBe(true)}
      }),
      { numRuns: 300 }
    )
    FastCheck.assert(
      FastCheck.property(typed, (value) => {
        expect(codec.encode(value)).toEqual(encode(value))
      }),
      { numRuns: 100 }
    )
  })
})
