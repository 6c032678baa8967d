/** The path of a command through the code is the one in docs/architecture.md. */
import { Command } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { Session } from "node:inspector/promises"
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import { Sqlite } from "../../src/index.js"
import { temporaryFile } from "../fixtures/sqlite.js"

const root = fileURLToPath(new URL("../../../../", import.meta.url))
const page = readFileSync(new URL("../../../../docs/architecture.md", import.meta.url), "utf8")

/** The rows of the table: a file's path, and its functions. */
const told = Array.from(
  page.matchAll(/^\| \[`\w+`\]\(\.\.\/(packages\/\S+\.ts)\) \| (.+?) \|/gm),
  ([, file, functions]) => ({
    file: file!,
    functions: Array.from(functions!.matchAll(/`(\w+)`/g), ([, name]) => name!)
  })
)

/** The named functions that were called while an effect ran, by file. */
const callsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const session = new Session()
    session.connect()
    yield* Effect.promise(() => session.post("Profiler.enable"))
    yield* Effect.promise(() => session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false }))
    yield* effect
    const { result } = yield* Effect.promise(() => session.post("Profiler.takePreciseCoverage"))
    session.disconnect()
    const calls = new Map<string, Set<string>>()
    for (const { functions, url } of result) {
      const path = relative(root, url.startsWith("file:") ? fileURLToPath(url) : url)
      const called = functions.flatMap(({ functionName, ranges: [range] }) =>
        functionName !== "" && range!.count > 0 ? [functionName] : []
      )
      if (path.startsWith("packages/") && called.length > 0) calls.set(path, new Set(called))
    }
    return calls
  })

it.scopedLive("a single command runs the functions that the architecture page lists, and no other file of the write room", () =>
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    const calls = yield* Effect.gen(function*() {
      const command = yield* Command
      const tenant = "a".repeat(64)
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createRelay({ id: "a", tenant, subdomain: "a" })
      return yield* callsOf(Effect.suspend(() => command.deactivateRelay({ id: "a" })))
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
    expect(told.length).toBeGreaterThanOrEqual(5)
    for (const { file, functions } of told) {
      expect([file, functions.filter((name) => !calls.get(file)?.has(name))]).toEqual([file, []])
    }
    // Files of other rooms are also used by background readers.
    const files = [...calls.keys()].filter((path) => path.startsWith("packages/sql/src/write/"))
    expect(files.filter((path) => !told.some(({ file }) => file === path))).toEqual([])
  }))
