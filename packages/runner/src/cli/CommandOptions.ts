/** The options of each command's subcommand, generated from the command's schema: no command or field is named here. */
import { commands, type CommandTag, Relay, Tenant } from "@caravel/domain"
import { commandTable } from "@caravel/domain/adapter"
import * as Options from "@effect/cli/Options"
import { Array as Arr, Option, pipe, Record as Rec, Redacted, Schema, SchemaAST } from "effect"
import * as Values from "./Values.js"

/**
 * A field of a command, as its option needs it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Field {
  readonly name: string
  readonly kind: "text" | "boolean" | "pubkey" | "secret"
  readonly description: string
  readonly isRequired: boolean
  /** Whether null is allowed: it clears the field, or sets it to its default. */
  readonly isNullable: boolean
  /** The value of the field if it is absent. */
  readonly fallback: Option.Option<unknown>
}

/**
 * The name of a command's subcommand: `CreateRelay` is `create-relay`.
 *
 * @since 0.1.0
 * @category generation
 */
export const subcommandOf = (tag: CommandTag): string => Values.kebab(tag)

/**
 * A sentence about a command, and the activity that it logs.
 *
 * @since 0.1.0
 * @category generation
 */
export const descriptionOf = (tag: CommandTag): string => {
  const { activity } = commandTable[tag]
  const description = Option.getOrElse(
    SchemaAST.getDescriptionAnnotation(SchemaAST.typeAST(commands[tag].ast)),
    () => ""
  )
  return `${description} ${activity === null ? "Logs no activity." : `Logs ${activity}.`}`
}

/** A type's alternatives. A union with its own name counts as one. */
const members = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isUnion(ast) && Option.isNone(SchemaAST.getIdentifierAnnotation(ast)) ? ast.types.flatMap(members) : [ast]

const isNull = (ast: SchemaAST.AST) => SchemaAST.isLiteral(ast) && ast.literal === null

const described = (ast: SchemaAST.AST) =>
  Option.orElse(
    SchemaAST.getDescriptionAnnotation(ast),
    () =>
      Arr.findFirst(members(ast), (member) => !isNull(member)).pipe(
        Option.flatMap(SchemaAST.getDescriptionAnnotation)
      )
  )

// A model describes the meaning of its fields. A command's own field may describe only the text's form.
const models: Record<string, Schema.Schema.All> = { ...Tenant.fields, ...Relay.fields }

const kindOf = (ast: SchemaAST.AST): Field["kind"] => {
  if (SchemaAST.isBooleanKeyword(ast)) return "boolean"
  const identifier = Option.getOrElse(SchemaAST.getIdentifierAnnotation(ast), () => "")
  return identifier === "Pubkey" ? "pubkey" : identifier === "NwcUrl" ? "secret" : "text"
}

/** The type of a struct's field, whether it is optional, and its default. */
const signatureOf = (schema: Schema.Schema.All | Schema.PropertySignature.All) => {
  if (!Schema.isPropertySignature(schema)) return { type: schema.ast, isOptional: false, fallback: Option.none() }
  const { ast } = schema
  return ast._tag === "PropertySignatureDeclaration"
    ? { type: ast.type, isOptional: ast.isOptional, fallback: Option.none() }
    : { type: ast.from.type, isOptional: ast.from.isOptional, fallback: ast.decode(Option.none()) }
}

/**
 * The fields of a command, without its tag.
 *
 * @since 0.1.0
 * @category generation
 */
export const fieldsOf = (tag: CommandTag): ReadonlyArray<Field> => {
  const fields: Schema.Struct.Fields = commands[tag].fields
  return Rec.toEntries(fields).filter(([name]) => name !== "_tag").map(([name, schema]) => {
    const { fallback, isOptional, type } = signatureOf(schema)
    const leaf = members(type).find((member) => !isNull(member) && !SchemaAST.isUndefinedKeyword(member)) ?? type
    const description = Option.firstSomeOf([
      Option.flatMap(Option.fromNullable(models[name]), ({ ast }) => described(ast)),
      described(leaf)
    ])
    return {
      name,
      kind: kindOf(leaf),
      description: Option.getOrElse(description, () => name),
      isRequired: !isOptional,
      isNullable: members(type).some(isNull),
      fallback
    }
  })
}

const baseOption = (field: Field): Options.Options<unknown> => {
  const name = Values.kebab(field.name)
  switch (field.kind) {
    case "text":
      return Options.text(name)
    case "pubkey":
      return Values.option(name, Values.pubkey).pipe(Options.withPseudoName("pubkey"))
    case "secret":
      return Options.redacted(name).pipe(Options.withPseudoName("url"))
    case "boolean":
      return Values.option(name, Values.oneOf("true", "false")).pipe(
        Options.withPseudoName("true|false"),
        Options.map((value) => value === "true")
      )
  }
}

const helpOf = (tag: CommandTag, field: Field): string => {
  const [first = "", ...rest] = field.description
  const sentences = [`${first.toUpperCase()}${rest.join("")}.`]
  if (field.kind === "pubkey") sentences.push("An npub1… is accepted too (NIP-19).")
  if (field.isRequired) sentences.push("Required.")
  const fallback = Option.getOrNull(field.fallback)
  if (fallback !== null && fallback !== "") sentences.push(`Default: ${fallback}.`)
  // If there is a fallback, an empty value results in it, as omitting the option does.
  if (field.isNullable && field.kind !== "boolean" && Option.isNone(field.fallback)) {
    sentences.push("Empty (\"\"): cleared.")
  }
  if (field.kind === "secret") {
    sentences.push(
      `Other users of this machine can see it in the process list. To prevent that, send {"_tag":"${tag}",…} to the ` +
        "standard input of \"caravel run -\"."
    )
  }
  return sentences.join(" ")
}

/**
 * The options of a command's subcommand. They return the command's plain values, which `decodeCommand` must check.
 *
 * @since 0.1.0
 * @category generation
 */
export const optionsOf = (tag: CommandTag): Options.Options<Record<string, unknown>> => {
  const options = fieldsOf(tag).map((field) => {
    const option = baseOption(field).pipe(Options.withDescription(helpOf(tag, field)))
    const entry = (value: unknown) => [field.name, field.isNullable && isEmpty(value) ? null : value] as const
    return field.isRequired
      ? Options.map(option, (value) => Option.some(entry(value)))
      : Options.map(Options.optional(option), Option.map(entry))
  })
  return pipe(Options.all(options), Options.map((entries) => Rec.fromEntries(Arr.getSomes(entries))))
}

const isEmpty = (value: unknown) => value === "" || Redacted.isRedacted(value) && Redacted.value(value) === ""
