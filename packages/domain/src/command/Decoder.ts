/**
 * Decoders of commands as plain functions, for classes whose fields are only validated or changed by a function. In a
 * loop, decoding a `create_relay` takes 1 µs; its schema takes 8 µs.
 */
import { Either, Option, Predicate, Schema, SchemaAST as AST } from "effect"
import { trusted } from "../model/Trusted.js"

/** Returns the decoded value, or `refused`. */
type Read = (value: unknown) => unknown

const refused = Symbol.for("@caravel/domain/refused")

interface Field {
  readonly name: string
  readonly isOptional: boolean
  readonly read: Read
  /** For a field with a default: replaces an absent value or a given one. */
  readonly decode: ((value: Option.Option<unknown>) => Option.Option<unknown>) | undefined
}

/**
 * Returns the decoder of a class. The decoder returns `undefined` if the schema has to be used instead: for an invalid
 * value, because the schema reports the error, and for a class with a field of an unsupported type.
 */
export const make = <Self extends object>(
  Class: { readonly fields: Schema.Struct.Fields; readonly prototype: Self }
): (input: unknown) => Self | undefined => {
  const fields = fieldsOf(Schema.Struct(Class.fields).ast)
  if (fields === undefined) return () => undefined
  return (input) => {
    if (!Predicate.isRecord(input)) return undefined
    const values: { [name: string]: unknown } = {}
    for (const { decode, isOptional, name, read } of fields) {
      const isThere = Object.hasOwn(input, name)
      const value = isThere ? read(input[name]) : undefined
      if (isThere ? value === refused : !isOptional) return undefined
      if (decode !== undefined) {
        values[name] = Option.getOrUndefined(decode(isThere ? Option.some(value) : Option.none()))
      } else if (isThere) values[name] = value
    }
    return trusted(Class, values)
  }
}

const fieldsOf = (ast: AST.AST): ReadonlyArray<Field> | undefined => {
  const from = AST.isTransformation(ast) ? ast.from : ast
  if (!AST.isTypeLiteral(from)) return undefined
  const transformations = AST.isTransformation(ast) && AST.isTypeLiteralTransformation(ast.transformation)
    ? ast.transformation.propertySignatureTransformations
    : []
  const fields: Array<Field> = []
  for (const { isOptional, name, type } of from.propertySignatures) {
    const transformation = transformations.find(({ from }) => from === name)
    const read = readOf(type)
    if (read === undefined || typeof name !== "string" || (transformation && transformation.to !== name)) {
      return undefined
    }
    fields.push({ name, isOptional, read, decode: transformation?.decode })
  }
  return fields
}

const checked = (is: (value: unknown) => boolean): Read => (value) => is(value) ? value : refused

/** Returns the reader of a type, or `undefined` if the type is not supported. */
const readOf = (ast: AST.AST): Read | undefined => {
  switch (ast._tag) {
    case "StringKeyword":
      return checked(Predicate.isString)
    case "BooleanKeyword":
      return checked(Predicate.isBoolean)
    case "UndefinedKeyword":
      return checked(Predicate.isUndefined)
    case "Literal":
      return checked((value) => value === ast.literal)
    case "Refinement": {
      const from = readOf(ast.from)
      return from && ((value) => {
        const read = from(value)
        return read === refused || Option.isSome(ast.filter(read, options, ast)) ? refused : read
      })
    }
    case "Union": {
      const members = ast.types.map(readOf)
      return members.every(Predicate.isNotUndefined) ? (value) => firstOf(members, value) : undefined
    }
    case "Transformation": {
      const { from, to, transformation } = ast
      const [readFrom, readTo] = [readOf(from), readOf(to)]
      if (readFrom === undefined || readTo === undefined || !AST.isFinalTransformation(transformation)) return undefined
      const decode: (...parameters: Parameters<AST.FinalTransformation["decode"]>) => unknown = transformation.decode
      return (value) => {
        const read = readFrom(value)
        const decoded = read === refused ? read : decode(read, options, ast, value)
        return Either.isEither(decoded) && Either.isRight(decoded) ? readTo(decoded.right) : refused
      }
    }
    default:
      return undefined
  }
}

const firstOf = (members: ReadonlyArray<Read>, value: unknown): unknown => {
  for (const read of members) {
    const result = read(value)
    if (result !== refused) return result
  }
  return refused
}

const options: AST.ParseOptions = {}
