import { Either, Function, type ParseResult, Schema, String as Str } from "effect"
import * as Codec from "./Codec.js"

/** A statement's text, its parameters, and the number of rows or values that it concerns. */
export type Statement = readonly [text: string, params: ReadonlyArray<unknown>, count: number]

/** The schema of an instant column: milliseconds since 1970. */
export const Instant = Schema.DateTimeUtcFromNumber

/**
 * A table. Its columns are the fields of its row schema in snake case, and the schema encodes and decodes every row.
 */
export interface Table<A> {
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
  /** Decodes a row: its values in the order of `columns`. */
  readonly decodeRow: (row: ReadonlyArray<unknown>) => Either.Either<A, ParseResult.ParseError>
  /** Decodes a row that may be damaged: a value that does not decode is returned as it is. */
  readonly decodeFields: (row: ReadonlyArray<unknown>) => { readonly [field in keyof A]: unknown }
  /** Decodes rows, or fails with the first that does not decode. */
  readonly decode: (rows: ReadonlyArray<ReadonlyArray<unknown>>) => Either.Either<Array<A>, ParseResult.ParseError>
}

/**
 * The most rows in one statement. Statements have this many rows or a smaller power of two, so that few have to be
 * prepared.
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
      statements.push([prepared, params(size === all.length ? all : all.slice(start, start + size)), size])
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
  const names = Object.keys(fields)
  const codecs = names.map((field) => Codec.make(fields[field]!.ast))
  const explain = Schema.decodeUnknownEither(Schema.Struct(fields) as unknown as Schema.Schema<A, unknown>)
  const column = Str.camelToSnake

  const decodeRow = (row: ReadonlyArray<unknown>): Either.Either<A, ParseResult.ParseError> => {
    const decoded: { [field: string]: unknown } = Object.create(prototype)
    for (let index = 0; index < names.length; index++) {
      if ((decoded[names[index]!] = codecs[index]!.decode(row[index])) === Codec.invalid) {
        return explain(Object.fromEntries(names.map((field, index) => [field, row[index]])))
      }
    }
    return Either.right(decoded as A)
  }

  const columns = (replaced: { readonly [field: string]: string | undefined } = {}) =>
    names.map((field) => `${replaced[field] ?? `${name}.${column(field)}`}`).join(", ")

  const insert: Table<A>["insert"] = (clause = "", most) => {
    const into = `INSERT INTO ${name} (${names.map(column).join(", ")}) VALUES `
    const row = `(${repeat("?", names.length)})`
    return chunked<A>(
      (size) => `${into}${repeat(row, size)} ${clause}`,
      (rows) => {
        const params: Array<unknown> = []
        for (const row of rows) {
          for (let index = 0; index < names.length; index++) {
            params.push(codecs[index]!.encode(row[names[index] as keyof A]))
          }
        }
        return params
      },
      most
    )
  }

  /** The fields that an update can change. */
  const changing = (key: string, fixed: ReadonlyArray<keyof A>) =>
    names.flatMap((field, index) =>
      field === key || fixed.includes(field as keyof A)
        ? []
        : [{ field: field as keyof A, column: column(field), codec: codecs[index]! }]
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
      return (rows, before) =>
        rows.flatMap((row) => {
          const old = before(row)
          if (old === undefined) return insertOne([row])
          let set = ""
          const params: Array<unknown> = []
          for (const { codec, column, field } of fields) {
            if (row[field] === old[field]) continue
            set += `${set === "" ? "" : ", "}${column} = ?`
            params.push(codec.encode(row[field]))
          }
          if (params.length === 0) return []
          params.push(row[key])
          return [[`UPDATE ${name} SET ${set} ${where}`, params, 1]]
        })
    },
    delete: (key) => where(`DELETE FROM ${name}`, key),
    deleteReturning: (key) => where(`DELETE FROM ${name}`, key, ` RETURNING ${column(key)}`),
    select: (key) => where(`SELECT ${columns()} FROM ${name}`, key),
    decodeRow,
    decodeFields: (row) => {
      const decoded: { [field: string]: unknown } = {}
      names.forEach((field, index) => {
        const value = codecs[index]!.decode(row[index])
        decoded[field] = value === Codec.invalid ? row[index] : value
      })
      return decoded as { readonly [field in keyof A]: unknown }
    },
    decode: (rows) => {
      const decoded: Array<A> = []
      for (const row of rows) {
        const result = decodeRow(row)
        if (Either.isLeft(result)) return Either.left(result.left)
        decoded.push(result.right)
      }
      return Either.right(decoded)
    }
  }
}
