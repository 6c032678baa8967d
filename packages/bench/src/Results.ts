/** The samples of a run, and the figures that are computed from them. */
import { Schema } from "effect"
import { Case, keyOf } from "./Case.js"
import type { Comparison, Figures } from "./Scenario.js"
import type { Settings } from "./Settings.js"
import { median } from "./Statistics.js"

/** The samples of one case. */
export const Series = Schema.Struct({
  scenario: Schema.String,
  case: Case,
  /** The values of each figure, one per round. */
  figures: Schema.Record({ key: Schema.String, value: Schema.Array(Schema.JsonNumber) }),
  /** The peak memory of the measuring process, in MiB. The process may have measured other cases before. */
  peakMiB: Schema.JsonNumber
})

export interface Series extends Schema.Schema.Type<typeof Series> {}

/** Collects the samples of a run. */
export class Results {
  private readonly settings: Settings
  private readonly byKey = new Map<string, Series>()

  constructor(settings: Settings, series: ReadonlyArray<Series> = []) {
    this.settings = settings
    for (const one of series) this.byKey.set(key(one.scenario, one.case), one)
  }

  /** Adds a round's sample. */
  add(scenario: string, value: Case, figures: Figures, peakMiB: number): void {
    const before = this.byKey.get(key(scenario, value))?.figures ?? {}
    const joined = Object.entries(figures).map(([name, figure]) => [name, [...before[name] ?? [], figure]])
    this.byKey.set(key(scenario, value), { scenario, case: value, figures: Object.fromEntries(joined), peakMiB })
  }

  /** All series of a scenario, in the order in which they were measured. */
  of(scenario: string): ReadonlyArray<Series> {
    return this.all.filter((series) => series.scenario === scenario)
  }

  get all(): ReadonlyArray<Series> {
    return [...this.byKey.values()]
  }

  /** The median over the rounds, if the figure was measured. */
  median(scenario: string, value: Case, figure: string): number | undefined {
    const values = this.rounds(scenario, value, figure)
    return values && median(values)
  }

  /**
   * Half the distance between the largest and the smallest sample, as a share of the median, if there are several and it
   * is not 0.
   */
  spread(scenario: string, value: Case, figure: string): number | undefined {
    const values = this.rounds(scenario, value, figure)
    if (values === undefined || values.length === 1 || median(values) === 0) return undefined
    return (Math.max(...values) - Math.min(...values)) / 2 / median(values)
  }

  /**
   * The ratio of a case's figure to another case's: the median of the rounds' ratios, as both share a round's noise.
   */
  ratio(scenario: string, value: Case, { figure, to }: Omit<Comparison, "title">): number | undefined {
    const values = this.rounds(scenario, value, figure)
    const others = this.rounds(scenario, to(value, this.settings), figure)
    if (values === undefined || others === undefined) return undefined
    return median(values.slice(0, others.length).map((value, round) => value / others[round]!))
  }

  private rounds(scenario: string, value: Case, figure: string): ReadonlyArray<number> | undefined {
    return this.byKey.get(key(scenario, value))?.figures[figure]
  }
}

const key = (scenario: string, value: Case) => `${scenario}: ${keyOf(value)}`
