/**
 * How the fields of the model are stored: by their schemas, except for the types that a database stores differently.
 */
import { Schema, SchemaAST as AST } from "effect"

type Stored<Fields> = { readonly [Name in keyof Fields]: Schema.Schema<Schema.Schema.Type<Fields[Name]>, any> }

/**
 * The same fields, with some types encoded differently: `encoding` returns the schema that replaces a type, or
 * undefined. Members of unions are replaced too, so a nullable field needs no encoding of its own.
 */
export const storedFields = <Fields extends { readonly [name: string]: Schema.Schema.AnyNoContext }>(
  fields: Fields,
  encoding: (ast: AST.AST) => Schema.Schema.AnyNoContext | undefined
): Stored<Fields> => {
  const replaced = (ast: AST.AST): AST.AST =>
    encoding(ast)?.ast ?? (AST.isUnion(ast) ? AST.Union.make(ast.types.map(replaced), ast.annotations) : ast)
  return Object.fromEntries(
    Object.entries(fields).map(([name, { ast }]) => [name, Schema.make(replaced(ast))])
  ) as unknown as Stored<Fields>
}

/** Whether a type is an instant of the model. */
export const isInstant = (ast: AST.AST): boolean => ast === Schema.DateTimeUtc.ast

/** Whether a type is a boolean of the model. */
export const isBoolean: (ast: AST.AST) => boolean = AST.isBooleanKeyword
