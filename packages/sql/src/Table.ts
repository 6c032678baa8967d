import { type Effect, type ParseResult, Schema, String } from "effect"
import type { Dialect } from "./Dialect.js"

/**
 * A table: its columns are its row schema's fields in snake case, and every row goes through that schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface Table<A> {
  readonly name: string
  /** What to select, each column under its field's name; `replaced` gives other expressions for some fields. */
  readonly columns: (replaced?: { readonly [field in keyof A]?: string }) => string
  /** Inserts the rows that `encode` gives. */
  readonly insert: string
  /** Inserts the rows that `encode` gives, or updates those that have this key. */
  readonly upsert: (key: keyof A & string) => string
  readonly encode: (rows: ReadonlyArray<A>) => Effect.Effect<string, ParseResult.ParseError>
  readonly decode: (rows: unknown) => Effect.Effect<ReadonlyArray<A>, ParseResult.ParseError>
}

/**
 * The table of this name with these fields.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Fields extends Schema.Struct.Fields>(
  dialect: Dialect,
  name: string,
  fields: Fields & { readonly [Field in keyof Fields]: Schema.Schema.AnyNoContext }
): Table<Schema.Struct.Type<Fields>> => {
  type A = Schema.Struct.Type<Fields>
  const names = Object.keys(fields)
  const column = String.camelToSnake
  const insert = `INSERT INTO ${name} (${names.map(column).join(", ")}) ${dialect.rows(names)}`
  const rows = Schema.Array(Schema.Struct(fields)) as unknown as Schema.Schema<ReadonlyArray<A>, unknown>
  return {
    name,
    columns: (replaced: { readonly [field: string]: string | undefined } = {}) =>
      names.map((field) => `${replaced[field] ?? `${name}.${column(field)}`} AS "${field}"`).join(", "),
    insert,
    upsert: (key) => {
      const updated = names.filter((field) => field !== key).map(column)
      return `${insert} ON CONFLICT (${column(key)}) DO UPDATE SET ${
        updated.map((column) => `${column} = excluded.${column}`).join(", ")
      }`
    },
    encode: Schema.encode(Schema.parseJson(rows)),
    decode: Schema.decodeUnknown(rows)
  }
}
