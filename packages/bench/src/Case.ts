/** The case that a sample is taken of: a subject in a setting. */
import { Schema, Struct } from "effect"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** The measured commands: one that creates a row, and one that changes one. */
export const CommandName = Schema.Literal("createRelay", "deactivateRelay")

export type CommandName = typeof CommandName.Type

/** SQLite's durability against power loss. */
export const Synchronous = Schema.Literal("full", "normal")

export type Synchronous = typeof Synchronous.Type

/** Both commands. */
export const commandNames = CommandName.literals

/** Both modes. */
export const synchronousModes = Synchronous.literals

/** A subject in a setting. An absent field does not matter to the subject. */
export const Case = Schema.Struct({
  subject: Schema.String,
  command: optional(CommandName),
  synchronous: optional(Synchronous),
  /** The number of concurrent callers. */
  callers: optional(Schema.Number),
  /** The number of processes that the callers are spread over. */
  processes: optional(Schema.Number),
  /** The number of events in the journal at the start. */
  events: optional(Schema.Number),
  /** The number of relays in the database at the start, if it is not that of the settings. */
  relays: optional(Schema.Number),
  subscribers: optional(Schema.Number),
  /** How long a sync of the disk takes. */
  syncMillis: optional(Schema.Number)
})

export interface Case extends Schema.Schema.Type<typeof Case> {}

const fields = Struct.keys(Case.fields)

/** A key that identifies a case within its scenario, whatever the order of its fields. */
export const keyOf = (value: Case): string =>
  fields.filter((field) => value[field] !== undefined).map((field) => `${field}=${value[field]}`).join(" ")

/** The setting as text: the case without its subject. */
export const settingOf = (
  { callers, command, events, processes, relays, subscribers, syncMillis, synchronous }: Case
): string =>
  [
    command,
    synchronous?.toUpperCase(),
    counted(callers, "caller"),
    counted(processes, "process", "processes"),
    counted(events, "event"),
    counted(relays, "relay"),
    counted(subscribers, "subscriber"),
    syncMillis === undefined ? undefined : `syncs of ${syncMillis} ms`
  ].filter((text) => text !== undefined).join(" · ")

const counted = (count: number | undefined, noun: string, plural = `${noun}s`) =>
  count === undefined ? undefined : `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`
