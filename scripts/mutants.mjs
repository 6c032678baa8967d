// `pnpm mutants [ROOM…]`: breaks the sources in every small way that Stryker knows, one at a time, and counts the breakages that the
// tests notice. It works in a clone, in `build/mutants`, as a mutant must never stand in the tree that is committed from; what has been
// tried before is not tried again. Takes hours. Reports are in `build/mutants/ROOM.html` and `ROOM.json`.
// `--mutate PATTERN` narrows a room to some of its files.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { finish, root, run } from "./workspace.mjs"

/** What is broken in each room, and the tests that should notice. Tests of other processes would not see the breakage. */
const rooms = {
  decide: {
    mutate: ["packages/domain/src/{decide,event}/*.ts"],
    tests: ["packages/domain/test/**/*.test.ts", "packages/memory/test/*.test.ts"]
  },
  domain: {
    mutate: ["packages/domain/src/{command,history,import,journal,model,runtime,verify}/*.ts"],
    tests: ["packages/domain/test/**/*.test.ts", "packages/memory/test/*.test.ts"]
  },
  pubsub: {
    mutate: ["packages/pubsub/src/{consumer,runtime,tail}/*.ts"],
    tests: ["packages/pubsub/test/**/*.test.ts", "packages/memory/test/*.test.ts"]
  },
  write: {
    mutate: ["packages/sql/src/write/*.ts", "packages/sql/src/consume/*.ts"],
    tests: [
      "packages/sql/test/Sqlite.test.ts",
      "packages/sql/test/write/{GroupCommit,Load,SqlWriter,Waiting}.test.ts",
      "packages/sql/test/database/*.test.ts"
    ]
  }
}

const args = process.argv.slice(2)
const at = args.indexOf("--mutate")
const narrowed = at === -1 ? undefined : args.splice(at, 2)[1]
const unknown = args.filter((room) => !Object.hasOwn(rooms, room))
if (unknown.length > 0) finish([`mutants: there are ${Object.keys(rooms).join(", ")}, and no ${unknown.join(", ")}`])

const folder = join(root, "build", "mutants")
mkdirSync(folder, { recursive: true })

for (const [name, { mutate, tests }] of Object.entries(rooms)) {
  if (args.length > 0 && !args.includes(name)) continue
  const clone = join(folder, name)
  const incremental = join(folder, `${name}.incremental.json`)
  rmSync(clone, { recursive: true, force: true })
  if (
    !run("git", ["clone", "--quiet", "--local", root, clone]) ||
    !run("npm", ["run", "--silent", "setup"], { cwd: clone })
  ) {
    finish([`mutants: ${clone} cannot be made`])
  }
  writeFileSync(
    join(clone, "vitest.mutants.ts"),
    `import { sources } from "./vitest.workspace.js"
export default { test: { projects: [{ ...sources, test: { include: ${
      JSON.stringify(tests)
    }, testTimeout: 60_000 } }] } }
`
  )
  writeFileSync(
    join(clone, "stryker.config.json"),
    JSON.stringify({
      testRunner: "vitest",
      plugins: ["@stryker-mutator/vitest-runner"],
      vitest: { configFile: "vitest.mutants.ts", related: false },
      inPlace: true,
      mutate: narrowed === undefined ? mutate : [narrowed],
      incremental: true,
      incrementalFile: incremental,
      concurrency: 2,
      timeoutMS: 60_000,
      // Doc comments and types need no tests.
      ignoreStatic: true,
      reporters: ["clear-text", "progress-append-only", "html", "json"],
      clearTextReporter: { logTests: false, allowColor: false },
      htmlReporter: { fileName: join(folder, `${name}.html`) },
      jsonReporter: { fileName: join(folder, `${name}.json`) },
      disableTypeChecks: false
    })
  )
  if (!run("stryker", ["run"], { cwd: clone })) finish([`mutants: Stryker failed on ${name}`])
  const { files } = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"))
  const statuses = Object.values(files).flatMap(({ mutants }) => mutants.map(({ status }) => status))
  const count = (...of) => statuses.filter((status) => of.includes(status)).length
  const noticed = count("Killed", "Timeout")
  const all = noticed + count("Survived", "NoCoverage")
  console.log(`${name}: ${noticed} of ${all} noticed (${(100 * noticed / all).toFixed(1)} %)`)
  rmSync(clone, { recursive: true, force: true })
}
finish([], "")
