// Prints the source of the types of the commands' methods and payloads, from the command table and the schemas, for
// references.mjs. An editor shows documentation and names that stand in the source, not those of a computed type.
import { Option, Schema, SchemaAST as AST, String as Str } from "effect"
import { commandTable } from "../packages/domain/src/adapter.ts"
import { commands, Relay, Tenant } from "../packages/domain/src/index.ts"

const generated =
  "Generated from the command table and the schemas: run `node scripts/references.mjs --write` to update it."

/** A doc comment, wrapped at the formatter's width. */
const doc = (indent, ...paragraphs) => {
  const width = 117 - indent.length
  const lines = paragraphs.flatMap((text) => text.match(new RegExp(`.{1,${width}}(?= |$)`, "g")) ?? [""])
  return lines.length === 1 && lines[0].length + 3 <= width
    ? `${indent}/** ${lines[0]} */`
    : [`${indent}/**`, ...lines.map((line) => `${indent} * ${line.trim()}`.trimEnd()), `${indent} */`].join("\n")
}

const isNull = (ast) => AST.isLiteral(ast) && ast.literal === null

/** The description of a type, or of its first alternative. */
const described = (ast) =>
  Option.orElse(
    AST.getDescriptionAnnotation(ast),
    () =>
      AST.isUnion(ast) ? Option.firstSomeOf(ast.types.filter((type) => !isNull(type)).map(described)) : Option.none()
  )

const typeOf = (ast) => {
  if (AST.isUnion(ast)) return [...new Set(ast.types.map(typeOf))].join(" | ")
  if (AST.isRefinement(ast)) return typeOf(ast.from)
  if (AST.isStringKeyword(ast)) return "string"
  if (AST.isBooleanKeyword(ast)) return "boolean"
  if (AST.isUndefinedKeyword(ast)) return "undefined"
  if (isNull(ast)) return "null"
  if (AST.isDeclaration(ast)) return "Redacted.Redacted"
  throw new Error(`methods: no type is known for ${ast}`)
}

// A model describes the meaning of its fields. A command's own field may describe only the text's form.
const models = { ...Tenant.fields, ...Relay.fields }

/** The default of an absent field, if it is worth a mention. */
const fallbackOf = (schema) => {
  const fallback = Option.getOrNull(schema.ast.decode?.(Option.none()) ?? Option.none())
  return fallback === null || fallback === "" ? [] : [`default: ${fallback}`]
}

const fieldsOf = (tag) => {
  const { fields } = commands[tag]
  return AST.getPropertySignatures(Schema.encodedSchema(commands[tag]).ast)
    .filter(({ name }) => name !== "_tag")
    .map(({ isOptional, name, type }) => {
      const description = Option.firstSomeOf([
        Option.flatMap(Option.fromNullable(models[name]), ({ ast }) => described(ast)),
        described(type)
      ])
      return {
        name,
        isOptional,
        type: typeOf(type),
        text: [Option.getOrThrow(description), ...fallbackOf(fields[name])].join("; ")
      }
    })
}

const declared = ({ isOptional, name, type }) => `readonly ${name}${isOptional ? "?" : ""}: ${type}`

const tags = Object.keys(commandTable)

const payloads = () => {
  const interfaces = tags.map((tag) => {
    const fields = fieldsOf(tag).flatMap((field) => [
      doc("  ", `${Str.capitalize(field.text)}.`),
      `  ${declared(field)}`
    ])
    return [
      doc("", `The plain values of \`${tag}\`.`, "", "@since 0.1.0", "@category payloads"),
      `export interface ${tag}Payload {`,
      ...fields,
      "}"
    ].join("\n")
  })
  return [
    `${doc("", `The plain values of the commands. ${generated}`)}\nimport type { Redacted } from "effect"`,
    ...interfaces,
    [
      doc("", "The plain values of each command, by its tag.", "", "@since 0.1.0", "@category payloads"),
      "export interface Payloads {",
      ...tags.map((tag) => `  readonly ${tag}: ${tag}Payload`),
      "}"
    ].join("\n")
  ].join("\n\n") + "\n"
}

const methodOf = (tag) => {
  const { activity, parameters: [resource, ...others] } = commandTable[tag]
  const fields = new Map(fieldsOf(tag).map((field) => [field.name, field]))
  const description = Option.getOrThrow(AST.getDescriptionAnnotation(AST.typeAST(commands[tag].ast)))
  const isObject = resource === "tenant" || resource === "relay"
  const own = [...fields.values()].filter(({ name }) => !others.includes(name))
  const first = !isObject
    ? `${resource}: ${fields.get(resource).type}`
    : own.length === 1
    ? `${resource}: { ${declared(own[0])} }`
    : `${resource}: ${tag}Payload`
  const parameters = [first, ...others.map((name) => `${name}: ${fields.get(name).type}`)]
  const errors = [...commands[tag].failure.members.map(({ _tag }) => _tag), "ParseError"]
  const union = errors.join(" | ")
  return [
    doc(
      "  ",
      `${description} ${activity === null ? "Logs no activity." : `Logs and broadcasts \`${activity}\`.`}`,
      "",
      ...own.map(({ name, text }) => `@param ${isObject ? `${resource}.` : ""}${name} - ${text}`),
      ...others.map((name) => `@param ${name} - ${fields.get(name).text}`)
    ),
    `  readonly ${Str.uncapitalize(tag)}: (`,
    `    ${parameters.join(",\n    ")}`,
    "  ) => Effect.Effect<",
    `    ${activity === null ? "void" : "Activity"},`,
    union.length <= 116 ? `    ${union}` : errors.map((error) => `    | ${error}`).join("\n"),
    "  >"
  ].join("\n")
}

const methods = () => {
  const errors = [...new Set(tags.flatMap((tag) => commands[tag].failure.members.map(({ _tag }) => _tag)))].sort()
  const named = tags.filter((tag) => methodOf(tag).includes(`${tag}Payload`)).map((tag) => `${tag}Payload`).sort()
  return [
    doc("", `The methods of the commands. ${generated}`),
    "import type { Effect } from \"effect\"",
    "import type { ParseError } from \"effect/ParseResult\"",
    "import type { Activity } from \"../model/Activity.js\"",
    `import type {\n  ${errors.join(",\n  ")}\n} from "./CommandError.js"`,
    `import type { ${named.join(", ")} } from "./Payloads.js"`,
    "",
    doc(
      "",
      "One method per command: the command `CreateTenant` has the method `createTenant(tenant)`.",
      "",
      "@since 0.1.0",
      "@category services"
    ),
    "export interface Methods {",
    tags.map(methodOf).join("\n"),
    "}"
  ].join("\n") + "\n"
}

console.log(JSON.stringify({
  "packages/domain/src/command/Payloads.ts": payloads(),
  "packages/domain/src/command/Methods.ts": methods()
}))
