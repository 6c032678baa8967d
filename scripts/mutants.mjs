// `pnpm mutants [ROOM…]`: breaks the sources in every small way that Stryker knows, one at a time, and counts the breakages that the
// tests notice. It works in a clone, in `build/mutants`, as a mutant must never stand in the tree that is committed from; what has been
// tried before is not tried again. Takes hours. Reports are in `build/mutants/ROOM.html` and `ROOM.json`.
// `--mutate PATTERN` narrows a room to some of its files.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { finish, root, run } from "./workspace.mjs"

/**
 * What is broken in each room, and the tests that should notice: conformance suites on one adapter, and files. Tests of other processes would
 * not see the breakage, and a mutant that survives costs all of a room's tests, so these are the ones that take seconds.
 */
const rooms = {
  decide: {
    mutate: ["packages/domain/src/{decide,event}/*.ts"],
    tests: ["packages/domain/test/**/*.test.ts", "packages/memory/test/*.test.ts"]
  },
  domain: {
    mutate: ["packages/domain/src/{command,history,journal,model,runtime}/*.ts"],
    tests: ["packages/domain/test/**/*.test.ts", "packages/memory/test/*.test.ts"]
  },
  verify: {
    mutate: ["packages/domain/src/{import,verify}/*.ts"],
    tests: [
      "packages/domain/test/import/*.test.ts",
      "packages/sql/test/maintain/{DamagedColumns,SqlRebuild,SqlVerification}.test.ts",
      "packages/sql/test/move/{Import,ImportRefusals}.test.ts"
    ],
    suites: { sqlite: ["VerificationTest"] }
  },
  tail: {
    mutate: ["packages/pubsub/src/{runtime,tail}/*.ts"],
    tests: ["packages/pubsub/test/{runtime,tail}/*.test.ts"],
    suites: { memory: ["FeedTest"] }
  },
  consumer: {
    mutate: ["packages/pubsub/src/consumer/*.ts"],
    tests: ["packages/pubsub/test/consumer/*.test.ts"],
    suites: { memory: ["ConsumerTest"] }
  },
  write: {
    mutate: ["packages/sql/src/write/*.ts"],
    tests: [
      "packages/sql/test/write/{GroupCommit,SqlWriter,Waiting}.test.ts",
      "packages/sql/test/database/{GoneBack,Transaction}.test.ts",
      "packages/sql/test/maintain/{Bookkeeping,Clocks}.test.ts",
      "packages/sql/test/sqlite/SqliteTransaction.test.ts"
    ],
    suites: { sqlite: ["CommandTest", "JournalTest"] }
  },
  consume: {
    mutate: ["packages/sql/src/consume/*.ts"],
    tests: ["packages/sql/test/consume/Consumer.test.ts"],
    suites: { sqlite: ["ConsumerTest"] }
  }
}

/** For each adapter: the file that runs its suites, and the arguments of a suite. */
const adapters = {
  memory: {
    file: "packages/memory/test/Mutants.test.ts",
    imports: `import { Memory } from "@caravel/memory"`,
    args: () => `"Memory", Memory.layer`
  },
  sqlite: {
    file: "packages/sql/test/Mutants.test.ts",
    imports: `import { Sqlite } from "@caravel/sql"\nimport { backdoor } from "./fixtures/backdoor.js"`,
    args: (suite) => `"SQLite", Sqlite.layerTemporary${suite === "VerificationTest" ? ", backdoor" : ""}`
  }
}

const args = process.argv.slice(2)
const at = args.indexOf("--mutate")
const narrowed = at === -1 ? undefined : args.splice(at, 2)[1]
const unknown = args.filter((room) => !Object.hasOwn(rooms, room))
if (unknown.length > 0) finish([`mutants: there are ${Object.keys(rooms).join(", ")}, and no ${unknown.join(", ")}`])

/** How long a mutant may hang, in milliseconds. */
const timeout = 10_000
const folder = join(root, "build", "mutants")
mkdirSync(folder, { recursive: true })

for (const [name, { mutate, suites = {}, tests }] of Object.entries(rooms)) {
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
  const files = Object.entries(suites).map(([adapter, names]) => {
    const { args, file, imports } = adapters[adapter]
    const calls = names.map((suite) => `${suite}.suite(${args(suite)})`)
    writeFileSync(
      join(clone, file),
      `import { ${names.join(", ")} } from "@caravel/conformance"\n${imports}\n\n${calls.join("\n")}\n`
    )
    return file
  })
  writeFileSync(
    join(clone, "vitest.mutants.ts"),
    `import { sources } from "./vitest.workspace.js"
export default { test: { projects: [{ ...sources, test: { include: ${
      JSON.stringify([...files, ...tests])
    }, testTimeout: ${timeout} } }] } }
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
      timeoutMS: timeout,
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
  const report = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"))
  const statuses = Object.values(report.files).flatMap(({ mutants }) => mutants.map(({ status }) => status))
  const count = (...of) => statuses.filter((status) => of.includes(status)).length
  const noticed = count("Killed", "Timeout")
  const all = noticed + count("Survived", "NoCoverage")
  console.log(`${name}: ${noticed} of ${all} noticed (${(100 * noticed / all).toFixed(1)} %)`)
  rmSync(clone, { recursive: true, force: true })
}
finish([], "")
