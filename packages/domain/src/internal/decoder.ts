/**
 * Readers of commands as plain functions, for those that only check their fields: a `create_relay` is read in 1 µs, and in
 * 8 µs by its schema, in a loop.
 */
import { Option, Predicate, Schema, SchemaAST as AST } from "effect"
import { trusted } from "./trusted.js"

type Check = (value: unknown) => boolean

interface Field {
  readonly name: string
  readonly isOptional: boolean
  readonly check: Check
  /** Of a field with a default: what takes the place of an absent value, or of a given one. */
  readonly decode: ((value: Option.Option<unknown>) => Option.Option<unknown>) | undefined
}

/**
 * The reader of a class. It gives nothing where the schema has to be asked: for a value that is refused, as the schema says
 * why, and for a class of which a field is more than checked.
 */
export const make = <Self extends object>(
  Class: { readonly fields: Schema.Struct.Fields; readonly prototype: Self }
): (input: unknown) => Self | undefined => {
  const fields = fieldsOf(Schema.Struct(Class.fields).ast)
  if (fields === undefined) return () => undefined
  return (input) => {
    if (!Predicate.isRecord(input)) return undefined
    const values: { [name: string]: unknown } = {}
    for (const { check, decode, isOptional, name } of fields) {
      const isThere = Object.hasOwn(input, name)
      const value = input[name]
      if (isThere ? !check(value) : !isOptional) return undefined
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
    const check = checkOf(type)
    const transformation = transformations.find(({ from }) => from === name)
    if (check === undefined || typeof name !== "string" || (transformation && transformation.to !== name)) {
      return undefined
    }
    fields.push({ name, isOptional, check, decode: transformation?.decode })
  }
  return fields
}

/** Whether a value is of a type; nothing for a type to which values have to be brought. */
const checkOf = (ast: AST.AST): Check | undefined => {
  switch (ast._tag) {
    case "StringKeyword":
      return Predicate.isString
    case "BooleanKeyword":
      return Predicate.isBoolean
    case "UndefinedKeyword":
      return Predicate.isUndefined
    case "Literal":
      return (value) => value === ast.literal
    case "Refinement": {
      const from = checkOf(ast.from)
      return from && ((value) => from(value) && Option.isNone(ast.filter(value, options, ast)))
    }
    case "Union": {
      const members = ast.types.map(checkOf)
      return members.every(Predicate.isNotUndefined) ? (value) => members.some((is) => is(value)) : undefined
    }
    default:
      return undefined
  }
}

const options: AST.ParseOptions = {}
