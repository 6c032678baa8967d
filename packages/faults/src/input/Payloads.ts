/** Payloads of commands as programs send them, about few resources, so that commands meet. */
import { commands, type CommandTag } from "@caravel/domain"
import { Arbitrary, FastCheck as fc, Record as Rec, Schema } from "effect"
import { texts } from "./Values.js"

/** A part of every wallet URL, which nothing may show. */
export const secret = "WALLET-KEY"

const pubkeys = fc.constantFrom("a".repeat(64), "b".repeat(64))

/** Fields with few values, by name. */
const known: { readonly [field: string]: fc.Arbitrary<unknown> } = {
  pubkey: pubkeys,
  tenant: pubkeys,
  id: fc.constantFrom("a", "b", "__proto__"),
  subdomain: fc.constantFrom("a", "b", "c"),
  plan: fc.constantFrom("free", "basic", "growth"),
  nwcUrl: fc.constantFrom(`nostr+walletconnect://wallet?secret=${secret}`, null)
}

/** Well-formed payloads of a command, without its tag. */
export const payloadsOf = (tag: CommandTag): fc.Arbitrary<Record<string, unknown>> => {
  const schemas: Schema.Struct.Fields = commands[tag].fields
  const fields = Rec.filter(schemas, (_, name) => name !== "_tag")
  const encoded = Rec.map(fields, (schema, name) => {
    if (name in known) return known[name]!
    if (name.startsWith("info")) return fc.oneof({ weight: 2, arbitrary: fc.string() }, { weight: 1, arbitrary: texts })
    const values = Schema.Struct({ value: schema }) as unknown as Schema.Schema<object, { readonly value?: unknown }>
    return Arbitrary.make(Schema.typeSchema(values)).map((value) => Schema.encodeSync(values)(value).value)
  })
  // Whether a field may be absent is the schema's to say: `edited` leaves out any.
  return fc.record(encoded, { requiredKeys: ["pubkey", "tenant", "id", "subdomain"].filter((name) => name in encoded) })
}

/** A command with its tag. */
export const tagged: fc.Arbitrary<Record<string, unknown>> = fc.constantFrom(...Rec.keys(commands)).chain((_tag) =>
  payloadsOf(_tag).map((payload): Record<string, unknown> => ({ ...payload, _tag }))
)
