/** The growth of costs as a picture. */
import { Effect } from "effect"
import type { TopLevelSpec } from "vega-lite"
import type { Case } from "./Case.js"
import type { Report } from "./Report.js"
import { Results } from "./Results.js"

interface Point {
  readonly subject: string
  readonly size: number
  readonly "µs/command": number
  readonly "RSS MiB": number
}

/** The medians of one command, at each size. */
const points = (results: Results, command: Case["command"], sizeOf: (value: Case) => number | undefined) =>
  results.of("growth").flatMap(({ case: value }): ReadonlyArray<Point> => {
    const time = results.median("growth", value, "µs/command")
    const memory = results.median("growth", value, "RSS MiB")
    const size = sizeOf(value)
    return value.command !== command || time === undefined || memory === undefined || size === undefined
      ? []
      : [{ subject: value.subject, size, "µs/command": time, "RSS MiB": memory }]
  })

const chart = (values: ReadonlyArray<Point>, size: string, figure: "µs/command" | "RSS MiB") => ({
  data: { values: [...values] },
  width: 240,
  height: 180,
  mark: { type: "line" as const, point: true },
  encoding: {
    x: {
      field: "size",
      type: "quantitative" as const,
      scale: { type: "log" as const },
      title: size,
      axis: { format: "~s" }
    },
    y: { field: figure, type: "quantitative" as const },
    color: { field: "subject", type: "nominal" as const, title: null }
  }
})

/** Time and memory by the length of the journal, and by the number of relays, as SVG. */
export const render = ({ series, settings }: Report): Effect.Effect<string> =>
  Effect.promise(async () => {
    const [{ parse, View }, { compile }] = await Promise.all([import("vega"), import("vega-lite")])
    const results = new Results(settings, series)
    const journals = points(results, "deactivateRelay", ({ events }) => events)
    const relays = points(results, "createRelay", ({ relays }) => relays)
    const specification: TopLevelSpec = {
      background: "white",
      concat: (["µs/command", "RSS MiB"] as const).flatMap((figure) => [
        chart(journals, "events in the journal (deactivateRelay)", figure),
        chart(relays, "relays (createRelay)", figure)
      ]),
      columns: 2
    }
    return new View(parse(compile(specification).spec), { renderer: "none" }).toSVG()
  })
