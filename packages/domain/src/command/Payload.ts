/** Information that is derived from the schemas of a command's fields, so that it is not listed by hand. */
import { Option, Schema, SchemaAST as AST } from "effect"

interface WithFields {
  readonly fields: Schema.Struct.Fields
}

/** For each brand of an identifier, the part of `State` that it is the key of. */
const namedBy = { Pubkey: "tenants", RelayId: "relays", Subdomain: "subdomains" } as const

type Named = typeof namedBy[keyof typeof namedBy]

/**
 * The fields of a command that name resources: fields whose type is a pubkey, a relay id or a subdomain, optional or
 * not.
 */
export const referencesOf = ({ fields }: WithFields): ReadonlyArray<readonly [field: string, named: Named]> => {
  const { ast } = Schema.typeSchema(Schema.Struct(fields))
  return AST.getPropertySignatures(ast).flatMap(({ name, type }) => {
    const named = referredTo(type)
    return named === undefined ? [] : [[String(name), named] as const]
  })
}

const referredTo = (ast: AST.AST): Named | undefined => {
  const brands: ReadonlyArray<string | symbol> = Option.getOrElse(AST.getBrandAnnotation(ast), () => [])
  for (const [brand, named] of Object.entries(namedBy)) if (brands.includes(brand)) return named
  if (!AST.isUnion(ast)) return undefined
  return ast.types.reduce<Named | undefined>((found, type) => found ?? referredTo(type), undefined)
}

/** The default values of a command's absent fields. */
export const defaultsOf = ({ fields }: WithFields): ReadonlyMap<string, unknown> => {
  const { ast } = Schema.Struct(fields)
  if (!AST.isTransformation(ast) || !AST.isTypeLiteralTransformation(ast.transformation)) return new Map()
  return new Map(
    ast.transformation.propertySignatureTransformations.flatMap(({ decode, to }) =>
      Option.match(decode(Option.none()), { onNone: () => [], onSome: (value) => [[String(to), value]] })
    )
  )
}
