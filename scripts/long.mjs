// `pnpm long`: the tests that repeat what they try, with the counts of a long run, and then the tarballs installed with all the
// versions, package managers and Nodes that are supported (scripts/installs.mjs). The tests are the test files that import
// @caravel/conformance, themselves or by a fixture; each count has its variable beside it in `LongRun.count`.
// `pnpm long --counts` shows those counts beside the ones of every other run.
// `pnpm long Sqlite -t "random programs"` passes its arguments on to vitest: names of files, and its options.
import { readdirSync, readFileSync } from "node:fs"
import { basename, join, relative } from "node:path"
import { examples, finish, packages, root, run } from "./workspace.mjs"

const typescript = (folder) =>
  readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".ts")).map((name) => join(folder, name))

const sources = [...packages, ...examples].flatMap(({ path }) => {
  try {
    return typescript(join(path, "test"))
  } catch {
    return []
  }
}).map((path) => ({ path, text: readFileSync(path, "utf8") }))

const counting = ({ text }) => text.includes("\"@caravel/conformance\"")
const fixtures = sources.filter(({ path }) => path.includes("/fixtures/")).filter(counting).map(({ path }) =>
  `fixtures/${basename(path, ".ts")}.js`
)
const files = sources.filter(({ path, text }) =>
  path.endsWith(".test.ts") && (counting({ text }) || fixtures.some((fixture) => text.includes(fixture)))
).map(({ path }) => relative(root, path))

const args = process.argv.slice(2)

if (args.includes("--counts")) {
  const conformance = typescript(join(root, "packages/conformance/src")).map((path) => ({
    path,
    text: readFileSync(path, "utf8")
  }))
  const counts = [...conformance, ...sources].flatMap(({ path, text }) =>
    [...text.matchAll(/LongRun\.count\("(\w+)", \{ usual(?:: ([^}]+?))?, long(?:: ([^}]+?))? \}/g)].map((
      [, variable, usual, long]
    ) => ({
      variable,
      usual: usual ?? "of the test",
      long: long ?? "of the test",
      path: relative(root, path)
    }))
  )
  console.log("\nWhat tests repeat: the count of this run, of `pnpm long`, and the share")
  for (const { long, path, usual, variable } of counts.toSorted((a, b) => a.path.localeCompare(b.path))) {
    const share = Number(usual.replaceAll("_", "")) / Number(long.replaceAll("_", ""))
    const shown = Number.isNaN(share) ? "" : `${(100 * share).toFixed(0)} %`
    console.log(`${variable.padEnd(24)}${usual.padStart(30)}${long.padStart(14)}${shown.padStart(6)}  ${path}`)
  }
  process.exit()
}

const named = args.filter((arg, index) => !arg.startsWith("-") && args[index - 1] !== "-t")
const options = args.filter((arg) => !named.includes(arg))
const chosen = named.length === 0 ? files : files.filter((file) => named.some((name) => file.includes(name)))
if (chosen.length === 0) finish([`long: none of these files is called ${named.join(", ")}:\n${files.join("\n")}`])

console.log(chosen.join("\n"))
const problems = run("vitest", ["run", ...options, ...chosen], { env: { CARAVEL_LONG: "1" } })
  ? []
  : ["long: tests failed"]
if (
  named.length === 0 && !(run("node", ["scripts/packages.mjs"]) && run("node", ["scripts/installs.mjs", "--matrix"]))
) {
  problems.push("long: the packages cannot be installed everywhere")
}
finish(problems, "")
