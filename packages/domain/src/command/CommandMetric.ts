import { Metric, MetricKey } from "effect"
import type { CommandTag } from "./CommandTable.js"

const commands = MetricKey.counter("caravel_commands_total", {
  description: "commands by name, and by outcome: accepted, or the tag of the error",
  incremental: true
})

const counters = new Map<string, { readonly update: (increment: number) => void }>()

/** Counts a command. `Metric.update` would take a tenth of the time of the whole command in a batch. */
export const count = (command: CommandTag, outcome: string): void => {
  const name = `${command} ${outcome}`
  let counter = counters.get(name)
  if (counter === undefined) {
    const key = commands.pipe(MetricKey.tagged("command", command), MetricKey.tagged("outcome", outcome))
    counter = Metric.globalMetricRegistry.get(key)
    counters.set(name, counter)
  }
  counter.update(1)
}
