// All checks, one after another, or those that are named: `pnpm check`, `pnpm check lint types`.
import { finish, run } from "./workspace.mjs"

const decisions = ["Batch", "Decider"].map((name) => `--coverage.include=packages/domain/src/decide/${name}.ts`)
  .concat("--coverage.thresholds.100", "--coverage.all")

// Beside `check`, each has its commands; a script of ours says at its top what it does.
const checks = {
  versions: [["node", "scripts/versions.mjs"]],
  types: [["tsc", "-b"]],
  // One program over the sources of all packages; the severities stand in tsconfig.base.json.
  effect: [["effect-language-service", "diagnostics", "--project", "tsconfig.check.json", "--strict"]],
  lint: [["node", "--test", "--test-reporter=dot", "eslint-rules/rules.test.mjs"], ["eslint", "--max-warnings=0", "."]],
  imports: [["depcruise", "packages", "--config", ".dependency-cruiser.mjs"]],
  unused: [["knip", "--no-progress", "--treat-config-hints-as-errors"]],
  packages: [["node", "scripts/packages.mjs"]],
  // Decisions are tested whole, by their own specs.
  coverage: [["vitest", "run", "--project=domain", "--coverage", "--coverage.reporter=text", ...decisions]],
  docs: [["node", "scripts/docs.mjs"]],
  readme: [["node", "scripts/readme.mjs"]],
  links: [["node", "scripts/links.mjs"], ["node", "scripts/references.mjs"]]
}

const named = process.argv.slice(2)
const unknown = named.filter((name) => !Object.hasOwn(checks, name))
if (unknown.length > 0) {
  finish([`No check is called ${unknown.join(", ")}; there are ${Object.keys(checks).join(", ")}`])
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

const results = []
for (const name of named.length > 0 ? named : Object.keys(checks)) {
  console.log(`\n=== ${name}`)
  const start = performance.now()
  const passed = checks[name].every(([command, ...args]) => run(command, args))
  results.push({ name, passed, time: seconds(start) })
  console.log(`=== ${name}: ${passed ? "passed" : "FAILED"} in ${results.at(-1).time}`)
}

console.log()
for (const { name, passed, time } of results) {
  console.log(`${passed ? "passed" : "FAILED"}  ${name.padEnd(10)}${time.padStart(8)}`)
}
const failed = results.filter(({ passed }) => !passed).map(({ name }) => name)
finish(failed.length > 0 ? [`\nFailed: ${failed.join(", ")}`] : [], `\nAll ${results.length} checks passed`)
