// All checks, two at a time, or those that are named: `pnpm check`, `pnpm check lint types`.
import { finish, runBeside } from "./workspace.mjs"

const decisions = ["Batch", "Decider"].map((name) => `--coverage.include=packages/domain/src/decide/${name}.ts`)
  .concat("--coverage.thresholds.100", "--coverage.all")

// Each check has its commands; a script of ours says at its top what it does. The lanes run beside each other, the checks of a lane
// one after another: those that write to `dist` and `build` are in one lane, and each lane takes about as long as the other.
const lanes = [
  {
    types: [["node", "scripts/types.mjs"]],
    lint: [["node", "--test", "--test-reporter=dot", "eslint-rules/rules.test.mjs"], [
      "eslint",
      "--max-warnings=0",
      "."
    ]],
    versions: [["node", "scripts/versions.mjs"]],
    imports: [["depcruise", "packages", "examples", "--config", ".dependency-cruiser.mjs"]],
    unused: [["knip", "--no-progress", "--treat-config-hints-as-errors"]],
    // Decisions are tested whole, by their own specs.
    coverage: [[
      "vitest",
      "run",
      "packages/domain/test/decide",
      "--coverage",
      "--coverage.reporter=text",
      ...decisions
    ]],
    words: [["node", "scripts/words.mjs"]],
    links: [["node", "scripts/links.mjs"], ["node", "scripts/references.mjs"]]
  },
  {
    packages: [["node", "scripts/packages.mjs"]],
    installs: [["node", "scripts/installs.mjs"]],
    docs: [["node", "scripts/docs.mjs"]],
    readme: [["node", "scripts/readme.mjs"]]
  }
]
const names = lanes.flatMap(Object.keys)

const named = process.argv.slice(2)
const unknown = named.filter((name) => !names.includes(name))
if (unknown.length > 0) finish([`No check is called ${unknown.join(", ")}; there are ${names.join(", ")}`])

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

const check = async (name, commands) => {
  const start = performance.now()
  let passed = true
  let output = ""
  for (const [command, ...args] of commands) {
    const result = await runBeside(command, args)
    output += result.output
    passed &&= result.passed
    if (!passed) break
  }
  const time = seconds(start)
  console.log(`\n=== ${name}\n${output}=== ${name}: ${passed ? "passed" : "FAILED"} in ${time}`)
  return { name, passed, time }
}

const start = performance.now()
const results = (await Promise.all(lanes.map(async (lane) => {
  const results = []
  for (const [name, commands] of Object.entries(lane)) {
    if (named.length === 0 || named.includes(name)) results.push(await check(name, commands))
  }
  return results
}))).flat()

console.log()
for (const { name, passed, time } of results) {
  console.log(`${passed ? "passed" : "FAILED"}  ${name.padEnd(10)}${time.padStart(8)}`)
}
const failed = results.filter(({ passed }) => !passed).map(({ name }) => name)
finish(
  failed.length > 0 ? [`\nFailed: ${failed.join(", ")}`] : [],
  `\nAll ${results.length} checks passed in ${seconds(start)}`
)
