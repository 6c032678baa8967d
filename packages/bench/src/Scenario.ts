import { Effect, type Scope } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Case } from "./Case.js"
import type * as Message from "./Message.js"
import type { Settings } from "./Settings.js"
import * as Template from "./Template.js"

/** The result of a sample: numbers by the names of the scenario's figures. */
export type Figures = { readonly [figure: string]: number }

/** The place where a process measures. */
export interface Place {
  readonly settings: Settings
  /** The directory of the whole run, with the templates. */
  readonly directory: string
  /** The directory of this process. */
  readonly own: string
  /** This process's part of a sample that several processes take together. */
  readonly part?: Message.Part
}

/** A comparison: a column of the report. */
export interface Comparison {
  readonly title: string
  readonly figure: string
  /** The case to compare with. The column is empty if that case was not measured. */
  readonly to: (value: Case, settings: Settings) => Case
}

/** A way to measure subjects. */
export interface Scenario {
  readonly title: string
  /** What is measured and what is not, for readers of the report. */
  readonly description: string
  readonly cases: (settings: Settings) => ReadonlyArray<Case>
  /** Takes one sample. */
  readonly measure: (value: Case, place: Place) => Effect.Effect<Figures, never, Scope.Scope>
  /** The figures by name, each with the number of decimals to show. */
  readonly figures: { readonly [figure: string]: number }
  readonly comparisons: ReadonlyArray<Comparison>
  /** The maximum number of rounds. */
  readonly rounds?: number
  /** Whether each case has its own process. Otherwise the cases of a subject share one, which stays warm. */
  readonly isolated?: boolean
  /** Whether to run each case briefly first. */
  readonly warmUp?: boolean
  /** Whether the scenario slows the disk down. */
  readonly slowDisk?: boolean
  /** Whether the scenario needs PostgreSQL, and no file. */
  readonly postgres?: boolean
  /** Whether a whole run leaves the scenario out, as it takes long. */
  readonly onRequest?: boolean
}

/** The template file with these contents. */
export const template = (directory: string, { events, relays }: Template.Contents): string =>
  join(directory, `template-${events}-${relays}.db`)

/** What the case starts with. */
export const contentsOf = ({ events, relays }: Case, settings: Settings): Template.Contents => ({
  events: events ?? settings.few,
  relays: relays ?? settings.relays
})

/**
 * A file to measure on, with the events that the case starts with. A small file is fresh for each sample. A large one
 * is reused.
 */
export const file = (value: Case, { directory, own, settings }: Place): Effect.Effect<string, never, Scope.Scope> => {
  const contents = contentsOf(value, settings)
  const path = join(own, `${contents.events}-${contents.relays}.db`)
  const copy = Effect.as(Template.copy(template(directory, contents), path), path)
  if (contents.events <= settings.few) return Effect.acquireRelease(copy, Template.remove)
  return Effect.suspend(() => existsSync(path) ? Effect.succeed(path) : copy)
}
