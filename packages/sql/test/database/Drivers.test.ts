/** A database's driver is needed only if the database is used. */
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { buildSync } from "esbuild"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { spawned } from "../fixtures/child.js"
import { temporaryDirectory } from "../fixtures/sqlite.js"

it.scopedLive("without drivers, the package loads, and the error of each layer says what to install", () =>
  Effect.gen(function*() {
    const outdir = yield* temporaryDirectory
    buildSync({
      entryPoints: [fileURLToPath(new URL("../fixtures/drivers.ts", import.meta.url))],
      outdir,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      // Modules that are loaded on demand must stay separate files.
      splitting: true,
      platform: "node",
      format: "esm",
      conditions: ["@caravel/source"],
      external: ["better-sqlite3", "pg", "@effect/sql-sqlite-node", "@effect/sql-pg"],
      banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` }
    })
    const child = yield* spawned(join(outdir, "drivers.mjs"), [])
    yield* child.ended
    expect(child.errors).toBe("")
    expect(child.output.trim().split("\n")).toEqual([
      expect.stringContaining("install @effect/sql-sqlite-node and better-sqlite3"),
      expect.stringContaining("install @effect/sql-pg and pg")
    ])
  }))
