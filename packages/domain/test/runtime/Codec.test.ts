import { Activity, commands, defaultRelayOptions, events, PlanId, Relay, TenantState } from "@caravel/domain"
import { Codec } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Arbitrary, DateTime, Either, Equal, FastCheck, Option, Record as Rec, Schema } from "effect"
import { oneOfEach } from "../programs.js"

const Instant = Schema.DateTimeUtcFromNumber

const schemas: { readonly [name: string]: Schema.Schema.AnyNoContext } = {
  ...Rec.mapKeys(Activity.fields, (name) => `Activity.${name}`),
  ...Rec.mapKeys(Relay.fields, (name) => `Relay.${name}`),
  ...Rec.mapKeys(TenantState.fields, (name) => `TenantState.${name}`),
  Instant,
  nullableInstant: Schema.NullOr(Instant),
  bit: Schema.transform(Schema.Literal(0, 1), Schema.Boolean, {
    strict: true,
    decode: (bit) => bit === 1,
    encode: (boolean) => boolean ? 1 : 0
  }),
  secret: Schema.NullOr(Schema.Redacted(Schema.String)),
  transformedUnion: Schema.Union(Schema.NumberFromString, Schema.Boolean, Instant),
  template: Schema.TemplateLiteral("a", Schema.Number),
  tuple: Schema.Tuple(Schema.String),
  record: Schema.Record({ key: Schema.String, value: Schema.Number }),
  nothing: Schema.Struct({}),
  optional: Schema.Struct({ a: Schema.optional(Schema.NumberFromString), b: Schema.UndefinedOr(Schema.String) }),
  withDefault: Schema.Struct({
    a: Schema.optionalWith(Schema.NumberFromString, { default: () => 1, nullable: true }),
    b: Schema.optionalWith(Schema.String, { as: "Option" })
  }),
  renamed: Schema.Struct({ a: Schema.propertySignature(Schema.String).pipe(Schema.fromKey("b")) }),
  parsedWhenAbsent: Schema.Struct({
    a: Schema.optionalToRequired(Schema.String, Schema.NumberFromString, {
      decode: Option.getOrElse(() => "0"),
      encode: Option.some
    })
  }),
  composition: Schema.compose(Schema.NumberFromString, Schema.Number.pipe(Schema.positive())),
  ...Rec.mapEntries(commands, ({ fields }, tag) => [
    tag,
    Schema.Struct<Schema.Struct.Fields>(fields) as unknown as Schema.Schema.AnyNoContext
  ]),
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

const someCommands = FastCheck.sample(oneOfEach, 30).flat()

/** Values of schemas for which fast-check can generate none. */
const samples: { readonly [name: string]: ReadonlyArray<unknown> } = {
  ...Rec.map(commands, (_, tag) => someCommands.filter(({ _tag }) => _tag === tag)),
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
