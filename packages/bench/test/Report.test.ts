import { expect, it } from "@effect/vitest"
import { DateTime, Schema } from "effect"
import type { Case } from "../src/Case.js"
import { keyOf, settingOf } from "../src/Case.js"
import * as Markdown from "../src/Markdown.js"
import { Json, type Report } from "../src/Report.js"
import { Results } from "../src/Results.js"
import { scenarios } from "../src/scenarios/index.js"
import * as Settings from "../src/Settings.js"
import * as Targets from "../src/Targets.js"

const raw: Case = { subject: "raw", command: "createRelay", synchronous: "full" }
const caravel: Case = { subject: "caravel", command: "createRelay", synchronous: "full", callers: 64 }

const results = () => {
  const results = new Results(Settings.whole)
  // The second round was disturbed, for both alike.
  for (const [one, other] of [[1000, 4000], [100, 300], [1100, 4400]] as const) {
    results.add("callers", raw, { "commands/s": one }, 90)
    results.add("callers", caravel, { "commands/s": other }, 120)
  }
  return results
}

const toRaw = { figure: "commands/s", to: () => raw }

const report = (measured: Results): Report => ({
  date: DateTime.unsafeMake("2026-01-02T03:04:05Z"),
  command: "pnpm bench",
  machine: {
    cpu: "cpu",
    cores: 2,
    memoryGiB: 8,
    os: "os",
    disk: "ext4",
    node: "v20",
    versions: { effect: "3.0.0" },
    commit: "abc"
  },
  settings: Settings.whole,
  targets: Targets.judge(measured, Settings.whole),
  series: measured.all
})

it("a ratio is the median of the rounds' ratios, so that a round's noise is shared", () => {
  expect(results().ratio("callers", caravel, toRaw)).toBe(4)
  expect(results().median("callers", caravel, "commands/s")).toBe(4000)
  expect(results().ratio("alone", caravel, toRaw)).toBeUndefined()
})

it("a case's name does not depend on the order of its fields", () => {
  const { callers, ...rest } = caravel
  expect(keyOf({ callers: callers ?? 0, ...rest })).toBe(keyOf(caravel))
  expect(settingOf(caravel)).toBe("createRelay · FULL · 64 callers")
})

it("a target is met only if each of its figures meets it, and says so if it was not run", () => {
  const judge = (value: number) => {
    const measured = results()
    measured.add("callers", { ...raw, command: "deactivateRelay" }, { "commands/s": 1000 }, 90)
    measured.add("callers", { ...caravel, command: "deactivateRelay" }, { "commands/s": value }, 90)
    return Markdown.render(report(measured), scenarios).split("\n").find((line) =>
      line.startsWith("| 64 callers, FULL, ")
    )
  }
  expect(judge(3500)).toMatch(/≥ 3\.5× +\| 4\.00× createRelay, 3\.50× deactivateRelay +\| met/)
  expect(judge(3490)).toMatch(/4\.00× createRelay, 3\.49× deactivateRelay +\| \*\*missed\*\*/)
  expect(Markdown.render(report(results()), scenarios)).toMatch(/\| 256 callers, FULL +\|.*\| +\| not run/)
})

it("the table has the medians with their spread, and the ratios, in columns", () => {
  const line = Markdown.render(report(results()), scenarios).split("\n").find((line) => line.startsWith("| caravel "))
  expect(line?.split("|").map((cell) => cell.trim()).filter((cell) => cell !== "")).toEqual(
    ["caravel", "createRelay · FULL · 64 callers", "4,000 ±51%", "4.00", "120"]
  )
})

it("JSON holds the report, and gives it back", () => {
  const written = report(results())
  expect(Schema.decodeSync(Json)(Schema.encodeSync(Json)(written))).toEqual(written)
})
