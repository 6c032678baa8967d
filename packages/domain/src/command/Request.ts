import { Record as Rec, Schema } from "effect"
import { Activity } from "../model/Activity.js"
import { IdempotencyConflict, StorageError, VersionConflict } from "./CommandError.js"
import { type CommandTable, commandTable, type CommandTag } from "./CommandTable.js"

type Success<Tag extends CommandTag> = CommandTable[Tag]["activity"] extends null ? typeof Schema.Void : typeof Activity

/** The base class of a command's data. The command table determines whether its result is an activity. */
export const request = <Self>() =>
<
  const Tag extends CommandTag,
  Payload extends Schema.Struct.Fields,
  Failures extends ReadonlyArray<Schema.Schema.All>
>(
  tag: Tag,
  options: { readonly payload: Payload; readonly failure: Failures; readonly description: string }
) =>
  Schema.TaggedRequest<Self>(`@caravel/domain/${tag}`)(tag, {
    payload: options.payload,
    success: (commandTable[tag].activity === null ? Schema.Void : Activity) as Success<Tag>,
    failure: Schema.Union(...options.failure, VersionConflict, IdempotencyConflict, StorageError)
  }, { description: options.description })

/** A field that is absent or null takes its default. */
export const withDefaults = <Fields extends Record<string, Schema.Schema.AnyNoContext>>(
  fields: Fields,
  defaults: { readonly [Name in keyof Fields]: Schema.Schema.Type<Fields[Name]> }
) =>
  Rec.map(
    fields,
    (schema, name) => Schema.optionalWith(schema, { default: () => defaults[name], nullable: true })
  ) as {
    readonly [Name in keyof Fields]: Schema.optionalWith<
      Fields[Name],
      { default: () => Schema.Schema.Type<Fields[Name]>; nullable: true }
    >
  }

/** An absent field keeps its value; a null field is cleared. */
export const patch = <Fields extends Record<string, Schema.Schema.AnyNoContext>>(fields: Fields) =>
  Rec.map(fields, (schema) => Schema.optional(Schema.NullOr(schema))) as {
    readonly [Name in keyof Fields]: Schema.optional<Schema.NullOr<Fields[Name]>>
  }
