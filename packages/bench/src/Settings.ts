import { Schema } from "effect"
import { CommandName, commandNames } from "./Case.js"

/** How much is measured: the numbers of a full run and of a smoke test. */
export const Settings = Schema.Struct({
  /** The number of rounds. */
  rounds: Schema.Number,
  /** The duration of a sample, and of the warm-up before it, which is not counted. */
  millis: Schema.Number,
  warmUpMillis: Schema.Number,
  /**
   * The duration of a sample on PostgreSQL, in one process and in several. The warm-up is repeated until the rate is
   * steady.
   */
  serverMillis: Schema.Number,
  processMillis: Schema.Number,
  /** How long callers write in the scenario `delivery`. */
  deliveryMillis: Schema.Number,
  /** The number of relays at the start. */
  relays: Schema.Number,
  /** The sizes of journals: an ordinary one and large ones. */
  few: Schema.Number,
  some: Schema.Number,
  many: Schema.Number,
  /** The sizes of journals, and the numbers of relays, that `growth` is measured at. */
  journals: Schema.Array(Schema.Number),
  relayCounts: Schema.Array(Schema.Number),
  /** The commands that callers at once, servers and PostgreSQL are measured with. */
  commands: Schema.Array(CommandName),
  /** The maximum number of waiting commands. */
  waiting: Schema.Number,
  /** The numbers of commands after which peak memory is read: early, and late. */
  peakEarly: Schema.Number,
  peakLate: Schema.Number,
  /** The number of times that a file is opened in a sample. */
  openings: Schema.Number,
  /** Whether to measure in one process, which starts sooner than one process per subject. */
  oneProcess: Schema.Boolean
})

export interface Settings extends Schema.Schema.Type<typeof Settings> {}

/** A full run. */
export const whole: Settings = {
  rounds: 5,
  millis: 700,
  warmUpMillis: 300,
  serverMillis: 3000,
  processMillis: 10_000,
  deliveryMillis: 10_000,
  relays: 500,
  few: 1000,
  some: 100_000,
  many: 1_000_000,
  journals: [1000, 100_000, 1_000_000, 10_000_000],
  relayCounts: [1000, 100_000, 1_000_000],
  commands: commandNames,
  waiting: 10_000,
  peakEarly: 1_000_000,
  peakLate: 2_000_000,
  openings: 20,
  oneProcess: false
}

/** A smoke test: shows that everything runs. */
export const quick: Settings = {
  rounds: 1,
  millis: 15,
  warmUpMillis: 0,
  serverMillis: 15,
  processMillis: 15,
  deliveryMillis: 30,
  relays: 40,
  few: 100,
  some: 500,
  many: 1000,
  journals: [100, 500],
  relayCounts: [40, 80],
  commands: ["createRelay"],
  waiting: 200,
  peakEarly: 100,
  peakLate: 300,
  openings: 1,
  oneProcess: true
}
