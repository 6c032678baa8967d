import { afterEach, beforeEach, expect, it } from "@effect/vitest"
import { Schema } from "effect"
import { spawn } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { bundle } from "../../../scripts/bundle.mjs"
import { keyOf } from "../src/Case.js"
import { skipped } from "../src/PostgresSchema.js"
import { Json } from "../src/Report.js"
import { scenarios } from "../src/scenarios/index.js"
import { quick } from "../src/Settings.js"

const bin = new URL("../src/bin.ts", import.meta.url)
const worker = new URL("../src/worker.ts", import.meta.url)
const server = new URL("../src/server.ts", import.meta.url)

let directory = ""
let files = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "caravel-bench-test-"))
  files = mkdtempSync(join(directory, "files-"))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

/** The benchmark as a process, from a bundle of its sources. */
const bench = (...args: ReadonlyArray<string>) =>
  spawn(
    process.execPath,
    [bundle(bin, worker, server), "--directory", files, ...args],
    { env: { ...process.env, NODE_OPTIONS: "" }, stdio: ["ignore", "pipe", "pipe"] }
  )

const ended = (child: ReturnType<typeof bench>) =>
  new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

it("a quick run measures every scenario and subject, and leaves nothing behind", { timeout: 400_000 }, async () => {
  const json = join(directory, "report.json")
  const markdown = join(directory, "report.md")
  const plot = join(directory, "growth.svg")
  const { code, stderr, stdout } = await ended(
    bench("--quick", "--only", Object.keys(scenarios).join(","), "--json", json, "--markdown", markdown, "--plot", plot)
  )
  expect(code, stderr).toBe(0)

  const report = Schema.decodeSync(Json)(readFileSync(json, "utf8"))
  const measured = report.series.map(({ case: value, scenario }) => `${scenario}: ${keyOf(value)}`)
  const runnable = Object.entries(scenarios).filter(([name, { postgres }]) => {
    if (postgres !== true || skipped === undefined) return true
    expect(stderr).toContain(`${name} skipped: ${skipped}`)
    return false
  })
  const expected = runnable.flatMap(([name, { cases }]) => cases(quick).map((value) => `${name}: ${keyOf(value)}`))
  expect(measured).toEqual(expected)
  for (const { figures, scenario } of report.series) {
    expect(Object.keys(figures)).toEqual(Object.keys(scenarios[scenario]!.figures))
    for (const rounds of Object.values(figures)) expect(rounds).toHaveLength(quick.rounds)
  }
  // A target that nothing was measured for was misspelt.
  for (const { figure, measured } of report.targets) {
    if (skipped === undefined || !figure.startsWith("PostgreSQL")) expect(measured, figure).not.toEqual([])
  }

  expect(stdout).toContain("## Targets")
  expect(readFileSync(markdown, "utf8").trim()).toBe(stdout.trim())
  expect(readFileSync(plot, "utf8")).toMatch(/^<svg[^]*events in the journal[^]*caravel[^]*<\/svg>$/)
  expect(readdirSync(files)).toEqual([])
})

it("an interrupted run leaves nothing behind", { timeout: 60_000 }, async () => {
  const child = bench("--quick", "--only", "callers", "--rounds", "1000")
  const result = ended(child)
  child.stderr.on("data", (text: string) => {
    if (text.includes("round 1 ")) child.kill("SIGINT")
  })
  expect((await result).code).toBe(130)
  expect(readdirSync(files)).toEqual([])
})

it("an unknown scenario is refused with those that there are", { timeout: 60_000 }, async () => {
  const { code, stderr, stdout } = await ended(bench("--only", "nonsense"))
  expect(code).not.toBe(0)
  expect(stdout + stderr).toContain("--only takes callers, alone")
})
