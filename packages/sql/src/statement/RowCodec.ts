import { Codec } from "@caravel/domain/adapter"
import { Either, type ParseResult, Schema } from "effect"

/** Rows as values in the order of their fields. Each field's schema encodes and decodes its values. */
export interface RowCodec<A> {
  readonly names: ReadonlyArray<keyof A & string>
  readonly codecs: ReadonlyArray<Codec.Codec>
  /** The values of rows, one row after another. */
  readonly encode: (rows: ReadonlyArray<A>) => ReadonlyArray<unknown>
  readonly decodeRow: (row: ReadonlyArray<unknown>) => Either.Either<A, ParseResult.ParseError>
  /** Decodes a row that may be damaged: a value that does not decode is returned as it is. */
  readonly decodeFields: (row: ReadonlyArray<unknown>) => { readonly [field in keyof A]: unknown }
  /** Decodes rows, or fails with the first that does not decode. */
  readonly decode: (rows: ReadonlyArray<ReadonlyArray<unknown>>) => Either.Either<Array<A>, ParseResult.ParseError>
}

/** A codec of rows with these fields, decoded to objects with this prototype. */
export const make = <Fields extends Schema.Struct.Fields, A extends Schema.Struct.Type<Fields> & object>(
  fields: Fields & { readonly [Field in keyof Fields]: Schema.Schema.AnyNoContext },
  prototype: A
): RowCodec<A> => {
  const names = Object.keys(fields) as Array<keyof A & string>
  const codecs = names.map((field) => Codec.make(fields[field].ast))
  const explain = Schema.decodeUnknownEither(Schema.Struct(fields) as unknown as Schema.Schema<A, unknown>)

  const decodeRow = (row: ReadonlyArray<unknown>): Either.Either<A, ParseResult.ParseError> => {
    const decoded: { [field: string]: unknown } = Object.create(prototype)
    for (let index = 0; index < names.length; index++) {
      if ((decoded[names[index]!] = codecs[index]!.decode(row[index])) === Codec.invalid) {
        return explain(Object.fromEntries(names.map((field, index) => [field, row[index]])))
      }
    }
    return Either.right(decoded as A)
  }

  return {
    names,
    codecs,
    encode: (rows) => {
      const values: Array<unknown> = []
      for (const row of rows) {
        for (let index = 0; index < names.length; index++) values.push(codecs[index]!.encode(row[names[index]!]))
      }
      return values
    },
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
