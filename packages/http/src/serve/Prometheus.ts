/** The metrics of the process as text, as Prometheus scrapes them. */
import { type Array as Arr, Effect, Metric, type MetricKey, type MetricPair, MetricState, Option } from "effect"

type Labels = ReadonlyArray<readonly [name: string, value: string]>

interface Sample {
  readonly suffix?: "_bucket" | "_sum" | "_count"
  readonly labels?: Labels
  readonly value: number | bigint
}

/** The number of observations in total and their sum, of histograms and summaries. */
const totals = ({ count, sum }: { readonly count: number; readonly sum: number }): ReadonlyArray<Sample> => [
  { suffix: "_sum", value: sum },
  { suffix: "_count", value: count }
]

const infinite = (value: number) => value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

/** What Prometheus calls the type of a metric, and its samples. */
const family = (state: MetricState.MetricState<any>): readonly [type: string, samples: ReadonlyArray<Sample>] => {
  if (MetricState.isCounterState(state)) return ["counter", [{ value: state.count }]]
  if (MetricState.isGaugeState(state)) return ["gauge", [{ value: state.value }]]
  if (MetricState.isFrequencyState(state)) {
    return ["counter", Array.from(state.occurrences, ([key, value]) => ({ labels: [["key", key]], value }))]
  }
  if (MetricState.isHistogramState(state)) {
    const buckets = Array.from(state.buckets).filter(([boundary]) => boundary !== Infinity)
    return ["histogram", [
      ...[...buckets, [Infinity, state.count] as const].map(([boundary, value]): Sample => ({
        suffix: "_bucket",
        labels: [["le", infinite(boundary)]],
        value
      })),
      ...totals(state)
    ]]
  }
  if (MetricState.isSummaryState(state)) {
    return ["summary", [
      ...Array.from(state.quantiles).map(([quantile, value]): Sample => ({
        labels: [["quantile", String(quantile)]],
        value: Option.getOrElse(value, () => NaN)
      })),
      ...totals(state)
    ]]
  }
  return ["untyped", []]
}

const nameOf = ({ name }: MetricKey.MetricKey.Untyped) =>
  name.replaceAll(/[^a-zA-Z0-9_:]/g, "_").replace(/^(?=\d)/, "_")

const labelName = (name: string) => name.replaceAll(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=\d)/, "_")

const escaped = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

const labelsText = (labels: Labels) =>
  labels.length === 0
    ? ""
    : `{${labels.map(([name, value]) => `${labelName(name)}="${escaped(value).replaceAll("\"", "\\\"")}"`).join(",")}}`

const linesOf = ([name, pairs]: [string, Arr.NonEmptyArray<MetricPair.MetricPair.Untyped>]) => {
  const [{ metricKey: { description }, metricState }] = pairs
  const help = Option.match(description, { onNone: () => [], onSome: (text) => [`# HELP ${name} ${escaped(text)}`] })
  const lines = pairs.flatMap(({ metricKey, metricState }) => {
    const tags = metricKey.tags.map(({ key, value }) => [key, value] as const)
    return family(metricState)[1].map(({ labels = [], suffix = "", value }) =>
      `${name}${suffix}${labelsText([...tags, ...labels])} ${typeof value === "bigint" ? value : infinite(value)}`
    )
  })
  return [...help, `# TYPE ${name} ${family(metricState)[0]}`, ...lines]
}

/**
 * All metrics of the process, in the text format of Prometheus, version 0.0.4: those of Caravel, and those that the
 * application has made with `Metric`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const text: Effect.Effect<string> = Effect.map(Metric.snapshot, (pairs) => {
  const families = new Map<string, Arr.NonEmptyArray<MetricPair.MetricPair.Untyped>>()
  for (const pair of pairs) {
    const name = nameOf(pair.metricKey)
    const family = families.get(name)
    if (family === undefined) families.set(name, [pair])
    else family.push(pair)
  }
  return [...families].flatMap(linesOf).join("\n") + "\n"
})
