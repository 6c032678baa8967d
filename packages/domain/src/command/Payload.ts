/** What follows from the schemas of a command's fields, so that nobody has to list it. */
import { Option, Schema, SchemaAST as AST } from "effect"

interface WithFields {
  readonly fields: Schema.Struct.Fields
}

/** By the brand of an identifier, what it names: the part of `State` that holds it. */
const namedBy = { Pubkey: "tenants", RelayId: "relays", Subdomain: "subdomains" } as const

type Named = typeof namedBy[keyof typeof namedBy]

/** The fields of a command that name resources: those whose type is a public key, a relay's id or a subdomain, optional or not. */
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

/** The values that absent fields of a command take. */
export const defaultsOf = ({ fields }: WithFields): ReadonlyMap<string, unknown> => {
  const { ast } = Schema.Struct(fields)
  if (!AST.isTransformation(ast) || !AST.isTypeLiteralTransformation(ast.transformation)) return new Map()
  return new Map(
    ast.transformation.propertySignatureTransformations.flatMap(({ decode, to }) =>
      Option.match(decode(Option.none()), { onNone: () => [], onSome: (value) => [[String(to), value]] })
    )
  )
}
