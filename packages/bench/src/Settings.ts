import { Schema } from "effect"

/** How much is measured. The numbers of a whole run and of a smoke test. */
export const Settings = Schema.Struct({
  /** How often each sample is taken. */
  rounds: Schema.Number,
  /** How long a sample takes, and what goes before it and is not counted. */
  millis: Schema.Number,
  warmUpMillis: Schema.Number,
  /** How long callers write in the scenario `delivery`. */
  deliveryMillis: Schema.Number,
  /** How many relays there are from the start. */
  relays: Schema.Number,
  /** Journals: an ordinary one, and large ones. */
  few: Schema.Number,
  some: Schema.Number,
  many: Schema.Number,
  /** How many commands wait at once at most. */
  waiting: Schema.Number,
  /** How many commands before the peak of memory is read: early, and late. */
  peakEarly: Schema.Number,
  peakLate: Schema.Number,
  /** How often a file is opened in a sample. */
  openings: Schema.Number,
  /** Whether all is measured in one process, which starts sooner than one for each subject. */
  oneProcess: Schema.Boolean
})

export interface Settings extends Schema.Schema.Type<typeof Settings> {}

/** A whole run. */
export const whole: Settings = {
  rounds: 5,
  millis: 700,
  warmUpMillis: 300,
  deliveryMillis: 10_000,
  relays: 500,
  few: 1000,
  some: 100_000,
  many: 1_000_000,
  waiting: 10_000,
  peakEarly: 10_000,
  peakLate: 1_000_000,
  openings: 20,
  oneProcess: false
}

/** A run that only shows that everything runs. */
export const quick: Settings = {
  rounds: 1,
  millis: 15,
  warmUpMillis: 0,
  deliveryMillis: 30,
  relays: 40,
  few: 100,
  some: 500,
  many: 1000,
  waiting: 200,
  peakEarly: 100,
  peakLate: 300,
  openings: 1,
  oneProcess: true
}
