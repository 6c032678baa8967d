/** The report of a run, for people. */
import { Array as Arr, DateTime } from "effect"
import { settingOf } from "./Case.js"
import type { Report } from "./Report.js"
import { Results, type Series } from "./Results.js"
import type { Scenario } from "./Scenario.js"
import { postgresSubjects, subjects } from "./subjects/index.js"
import type { Target } from "./Targets.js"

/** The report as Markdown. */
export const render = (report: Report, scenarios: { readonly [name: string]: Scenario }): string => {
  const results = new Results(report.settings, report.series)
  const sections = Object.entries(scenarios).flatMap(([name, scenario]) =>
    results.of(name).length === 0 ? [] : [section(name, scenario, results)]
  )
  return [header(report), targets(report.targets), ...sections, legend(report.series)].join("\n\n") + "\n"
}

const legend = (series: ReadonlyArray<Series>) => {
  const measured = new Set(series.map(({ case: { subject } }) => subject))
  return [
    "## Subjects",
    "",
    ...Object.entries({ ...subjects, ...postgresSubjects }).flatMap(([name, { description }]) =>
      measured.has(name) ? [`- \`${name}\`: ${description}`] : []
    )
  ].join("\n")
}

const header = ({ command, date, machine, settings }: Report) =>
  [
    "# Benchmark",
    "",
    `${DateTime.formatIso(date)}, \`${command}\`, ${settings.rounds} rounds, commit ${machine.commit}  `,
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, files on ${machine.disk}, Node.js ${machine.node}  `,
    Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`).join(", "),
    "",
    settings.oneProcess
      ? "**A quick run: it only shows that everything runs; its figures mean nothing.**"
      : "Medians over the rounds, ± half the distance between the extremes. A ratio is the median of the rounds' ratios, so " +
        "it need not be that of the medians."
  ].join("\n")

const targets = (targets: ReadonlyArray<Target>) =>
  [
    "## Targets",
    "",
    ...table(
      ["figure", "against", "target", "measured", ""],
      targets.map(({ against, figure, measured, target }) => [
        figure,
        against,
        target,
        measured.map(({ on, value }) => `${value} ${on}`.trim()).join(", "),
        measured.length === 0 ? "not run" : measured.every(({ met }) => met) ? "met" : "**missed**"
      ])
    )
  ].join("\n")

const section = (name: string, scenario: Scenario, results: Results) => {
  const figures = Object.entries(scenario.figures)
  const row = ({ case: value, peakMiB }: Series) => [
    value.subject,
    settingOf(value),
    ...figures.map(([figure, digits]) => {
      const spread = results.spread(name, value, figure)
      const median = number(results.median(name, value, figure), digits)
      return spread === undefined ? median : `${median} ±${number(spread * 100, 0)}%`
    }),
    ...scenario.comparisons.map((comparison) => number(results.ratio(name, value, comparison), 2)),
    number(peakMiB, 0)
  ]
  return [
    `## ${scenario.title} (\`${name}\`)`,
    "",
    scenario.description,
    "",
    ...table(
      [
        "subject",
        "setting",
        ...figures.map(([figure]) => figure),
        ...scenario.comparisons.map(({ title }) => title),
        "peak MiB"
      ],
      results.of(name).map(row)
    )
  ].join("\n")
}

/** A Markdown table that is aligned as plain text too. Numbers are right-aligned. */
const table = (titles: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>) => {
  const isNumber = (text: string) => /^(-?[\d,.]+( ±\d+%)?|)$/.test(text)
  const columns = titles.map((title, index) => {
    const cells = rows.map((row) => row[index] ?? "")
    return {
      right: cells.every(isNumber) && cells.some((cell) => cell !== ""),
      width: Math.max(3, ...[title, ...cells].map((text) => text.length))
    }
  })
  const line = (cells: ReadonlyArray<string>) =>
    `| ${
      Arr.zipWith(cells, columns, (cell, { right, width }) => right ? cell.padStart(width) : cell.padEnd(width))
        .join(" | ")
    } |`
  const rule = columns.map(({ right, width }) => right ? `${"-".repeat(width - 1)}:` : "-".repeat(width))
  return [line(titles), line(rule), ...rows.map(line)]
}

const number = (value: number | undefined, digits: number) =>
  value === undefined
    ? ""
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
