import { Function, Schema, String as Str } from "effect"
import * as RowCodec from "./RowCodec.js"

/** A statement's text, its parameters, and whether it has many rows or values, so that a server plans it each time. */
export type Statement = readonly [text: string, params: ReadonlyArray<unknown>, isBulk?: boolean]

/** The schema of an instant column: milliseconds since 1970. */
export const Instant = Schema.DateTimeUtcFromNumber

/** A table. Its columns are the fields of its rows in snake case. */
export interface Table<A> extends Pick<RowCodec.RowCodec<A>, "decode" | "decodeFields" | "decodeRow"> {
  readonly name: string
  /** The columns to select for `decode`; `replaced` has other expressions for some fields. */
  readonly columns: (replaced?: { readonly [field in keyof A]?: string }) => string
  /** The index of each field in what `columns` selects. */
  readonly at: { readonly [field in keyof A]: number }
  /** Statements that insert rows, with a clause at their end and at most `most` rows in each. */
  readonly insert: (clause?: string, most?: number) => (rows: ReadonlyArray<A>) => ReadonlyArray<Statement>
  /** Statements that insert rows, or update the rows with the same key, except for fields that never change. */
  readonly upsert: (
    key: keyof A & string,
    fixed: ReadonlyArray<keyof A>
  ) => (rows: ReadonlyArray<A>) => ReadonlyArray<Statement>
  /**
   * The same with one statement for each row: if `before` returns the stored row, it updates the fields that differ,
   * and otherwise it inserts the row.
   */
  readonly writeEach: (
    key: keyof A & string,
    fixed: ReadonlyArray<keyof A>
  ) => (rows: ReadonlyArray<A>, before: (row: A) => A | undefined) => ReadonlyArray<Statement>
  /** Statements that delete the rows with these keys. */
  readonly delete: (key: keyof A & string) => (values: ReadonlyArray<string>) => ReadonlyArray<Statement>
  /** The same, returning the keys of the rows that existed. */
  readonly deleteReturning: (key: keyof A & string) => (values: ReadonlyArray<string>) => ReadonlyArray<Statement>
  /** Selects the rows in which a field has one of these values. */
  readonly select: (key: keyof A & string) => (values: ReadonlyArray<string | number>) => ReadonlyArray<Statement>
}

/**
 * The maximum number of rows in one statement. Statements have this many rows or a smaller power of two, so that few
 * have to be prepared.
 */
const mostRows = 64

/** Statements over chunks of a list: `text` returns the statement for a chunk of a size, `params` its parameters. */
export const chunked = <A>(
  text: (size: number) => string,
  params: (chunk: ReadonlyArray<A>) => ReadonlyArray<unknown>,
  most = mostRows
): (all: ReadonlyArray<A>) => ReadonlyArray<Statement> => {
  const texts = new Map<number, string>()
  return (all: ReadonlyArray<A>): ReadonlyArray<Statement> => {
    const statements: Array<Statement> = []
    for (let start = 0; start < all.length;) {
      const size = Math.min(most, 2 ** Math.floor(Math.log2(all.length - start)))
      const prepared = texts.get(size) ?? text(size)
      texts.set(size, prepared)
      statements.push([prepared, params(size === all.length ? all : all.slice(start, start + size)), size > 1])
      start += size
    }
    return statements
  }
}

/** `part`, repeated `size` times, separated by commas. */
export const repeat = (part: string, size: number): string => Array(size).fill(part).join(", ")

/** A table with this name and these fields. Its rows are plain objects, or have a class's prototype. */
export const make = <Fields extends Schema.Struct.Fields, A extends Schema.Struct.Type<Fields> & object>(
  name: string,
  fields: Fields & { readonly [Field in keyof Fields]: Schema.Schema.AnyNoContext },
  prototype: A = Object.prototype as A
): Table<A> => {
  const { codecs, decode, decodeFields, decodeRow, encode, names } = RowCodec.make(fields, prototype)
  const column = Str.camelToSnake

  const columns = (replaced: { readonly [field in keyof A]?: string } = {}) =>
    names.map((field) => replaced[field] ?? `${name}.${column(field)}`).join(", ")

  const insert: Table<A>["insert"] = (clause = "", most) => {
    const into = `INSERT INTO ${name} (${names.map(column).join(", ")}) VALUES `
    const row = `(${repeat("?", names.length)})`
    return chunked<A>((size) => `${into}${repeat(row, size)} ${clause}`, encode, most)
  }

  /** The fields that an update can change. */
  const changing = (key: string, fixed: ReadonlyArray<keyof A>) =>
    names.flatMap((field, index) =>
      field === key || fixed.includes(field) ? [] : [{ field, column: column(field), codec: codecs[index]! }]
    )

  const where = (statement: string, key: string, clause = "") =>
    chunked<string | number>(
      (size) => `${statement} WHERE ${column(key)} IN (${repeat("?", size)})${clause}`,
      Function.identity
    )

  return {
    name,
    columns,
    at: Object.fromEntries(names.map((field, index) => [field, index])) as { readonly [field in keyof A]: number },
    insert,
    upsert: (key, fixed) => {
      const updated = changing(key, fixed).map(({ column }) => `${column} = excluded.${column}`)
      return insert(`ON CONFLICT (${column(key)}) DO UPDATE SET ${updated.join(", ")}`)
    },
    writeEach: (key, fixed) => {
      const insertOne = insert()
      const fields = changing(key, fixed)
      const where = `WHERE ${column(key)} = ?`
      return (rows, before) => {
        const statements: Array<Statement> = []
        for (const row of rows) {
          const old = before(row)
          if (old === undefined) {
            for (const statement of insertOne([row])) statements.push(statement)
            continue
          }
          let set = ""
          const params: Array<unknown> = []
          for (const { codec, column, field } of fields) {
            if (row[field] === old[field]) continue
            set += `${set === "" ? "" : ", "}${column} = ?`
            params.push(codec.encode(row[field]))
          }
          if (params.length === 0) continue
          params.push(row[key])
          statements.push([`UPDATE ${name} SET ${set} ${where}`, params])
        }
        return statements
      }
    },
    delete: (key) => where(`DELETE FROM ${name}`, key),
    deleteReturning: (key) => where(`DELETE FROM ${name}`, key, ` RETURNING ${column(key)}`),
    select: (key) => where(`SELECT ${columns()} FROM ${name}`, key),
    decode,
    decodeFields,
    decodeRow
  }
}
