/** The seventeen commands as data: their payloads, results and errors. */
import { Either, type ParseResult, Predicate, Record as Rec, Redacted, Schema } from "effect"
import { decodeInput } from "../model/Decoding.js"
import { secretFields } from "../model/Resource.js"
import { expected } from "../model/Text.js"
import { trusted } from "../model/Trusted.js"
import * as Codec from "../runtime/Codec.js"
import type { CommandTag } from "./CommandTable.js"
import type { Payloads } from "./Payloads.js"
import * as RelayCommand from "./RelayCommand.js"
import * as TenantCommand from "./TenantCommand.js"

/**
 * The schemas of the commands by their tags.
 *
 * @since 0.1.0
 * @category commands
 */
export const commands = { ...TenantCommand, ...RelayCommand } satisfies { readonly [Tag in CommandTag]: unknown }

/**
 * The type of the command with a tag.
 *
 * @since 0.1.0
 * @category commands
 */
export type CommandOf<Tag extends CommandTag> = InstanceType<typeof commands[Tag]>

/**
 * One of the seventeen commands. It encodes to JSON with its tag as `_tag`.
 *
 * @since 0.1.0
 * @category commands
 */
export const CommandRequest = Schema.Union(...Rec.values(commands))

/**
 * @since 0.1.0
 * @category commands
 */
export type CommandRequest = CommandOf<CommandTag>

/**
 * The plain values of a command, without its tag.
 *
 * @since 0.1.0
 * @category commands
 */
export type PayloadOf<Tag extends CommandTag> = Payloads[Tag]

/**
 * The result of a command: its `Activity`, or nothing if the command logs none.
 *
 * @since 0.1.0
 * @category commands
 */
export type SuccessOf<Command> = Command extends Schema.WithResult<infer A, any, any, any, any> ? A : never

/**
 * The errors that a command can fail with.
 *
 * @since 0.1.0
 * @category commands
 */
export type FailureOf<Command> = Command extends Schema.WithResult<any, any, infer E, any, any> ? E : never

/**
 * A command as callers pass it: plain values with a `_tag`, or an instance.
 *
 * @since 0.1.0
 * @category commands
 */
export type CommandInput<Tag extends CommandTag = CommandTag> = {
  readonly [Name in Tag]: PayloadOf<Name> & { readonly _tag: Name }
}[Tag]

type Decoded = Either.Either<CommandRequest, ParseResult.ParseError>

const decodeTag = decodeInput(Schema.Struct({
  _tag: Schema.Literal(...Rec.keys(commands)).annotations(expected("the tag of a command, such as CreateRelay"))
}))
const decoders = Rec.map(commands, (schema) => {
  const codec = Codec.make(Schema.Struct<Schema.Struct.Fields>(schema.fields).ast)
  const decode = decodeInput(schema as Schema.Schema<CommandRequest, any>)
  return (input: unknown): Decoded => {
    const values = codec.decode(input)
    return values === Codec.invalid ? decode(input) : Either.right(trusted<CommandRequest>(schema, values as object))
  }
})

/**
 * Whether a value has the tag of a command. Its fields may be malformed.
 *
 * @since 0.1.0
 * @category predicates
 */
export const namesCommand = (input: unknown): input is { readonly _tag: CommandTag } =>
  Predicate.hasProperty(input, "_tag") && Predicate.isString(input._tag) && Object.hasOwn(commands, input._tag)

/**
 * Decodes a command from plain values with a `_tag`, or from an instance. Returns a new, validated copy. A `ParseError`
 * never contains a secret, not even in its issues.
 *
 * @since 0.1.0
 * @category commands
 */
export const decodeCommand = (input: unknown): Decoded =>
  namesCommand(input)
    ? decodePayload(input._tag, input)
    : Either.flatMap(decodeTag(withoutClearSecret(input)), ({ _tag }) => decodePayload(_tag, input))

/**
 * Decodes a command with a known tag from plain values.
 *
 * @since 0.1.0
 * @category commands
 */
export const decodePayload = (tag: CommandTag, input: unknown): Decoded => decoders[tag](withoutClearSecret(input))

/** Secrets are redacted before anything is validated, so that no error can show them. */
const withoutClearSecret = (input: unknown): unknown => {
  if (!Predicate.isRecord(input)) return input
  let redacted = input
  for (const field of secretFields) {
    const value = input[field]
    if (typeof value === "string") redacted = { ...redacted, [field]: Redacted.make(value) }
  }
  return redacted
}
