import { Effect, type Scope } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Case } from "./Case.js"
import type * as Message from "./Message.js"
import type { Settings } from "./Settings.js"
import * as Template from "./Template.js"

/** The result of a sample: numbers by the names of the scenario's figures. */
export type Figures = { readonly [figure: string]: number }

/** Where a process measures. */
export interface Place {
  readonly settings: Settings
  /** Of the whole run: here are the templates. */
  readonly directory: string
  /** Of this process alone. */
  readonly own: string
  /** Of a sample that several processes take together: this one's. */
  readonly part?: Message.Part
}

/** A comparison: a column of the report. */
export interface Comparison {
  readonly title: string
  readonly figure: string
  /** What the case is compared to; it has no such column in its row if that was not measured. */
  readonly to: (value: Case, settings: Settings) => Case
}

/** A way to measure subjects. */
export interface Scenario {
  readonly title: string
  /** What is measured, and what it is not: for readers of the report. */
  readonly description: string
  readonly cases: (settings: Settings) => ReadonlyArray<Case>
  /** Takes one sample. */
  readonly measure: (value: Case, place: Place) => Effect.Effect<Figures, never, Scope.Scope>
  /** The figures by their names, and how many digits after the point are worth showing. */
  readonly figures: { readonly [figure: string]: number }
  readonly comparisons: ReadonlyArray<Comparison>
  /** At most so many rounds. */
  readonly rounds?: number
  /** Each case has a process of its own; otherwise those of one subject share one, which stays warm. */
  readonly isolated?: boolean
  /** Whether each case is run for a moment first. */
  readonly warmUp?: boolean
  /** It needs PostgreSQL, and no file. */
  readonly postgres?: boolean
}

/** The file of the template with so many events. */
export const template = (directory: string, events: number): string => join(directory, `template-${events}.db`)

/** How many events the case begins with. */
export const eventsOf = ({ events }: Case, { few }: Settings): number => events ?? few

/**
 * A file to measure on, with the events that the case begins with. A small one is fresh for each sample; a large one is
 * kept for the next.
 */
export const file = (value: Case, { directory, own, settings }: Place): Effect.Effect<string, never, Scope.Scope> => {
  const events = eventsOf(value, settings)
  const path = join(own, `${events}.db`)
  const copy = Effect.as(Template.copy(template(directory, events), path), path)
  if (events <= settings.few) return Effect.acquireRelease(copy, Template.remove)
  return Effect.suspend(() => existsSync(path) ? Effect.succeed(path) : copy)
}
