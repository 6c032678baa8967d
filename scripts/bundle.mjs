// Programs that tests start as processes, each in one file: from their sources, through a compiler, they start six to ten times
// as slowly. Vitest calls `setup` before a run and `teardown` after it, so that all test files share the bundles.
import { buildSync } from "esbuild"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { basename, dirname, join, relative, sep } from "node:path"
import { fileURLToPath } from "node:url"
import { examples, packages } from "./workspace.mjs"

const prefix = () => process.env.CARAVEL_BUNDLES ?? `bundle-${process.pid}-`

const remove = () => {
  for (const { path } of [...packages, ...examples]) {
    const build = join(path, "build")
    if (!existsSync(build)) continue
    for (const name of readdirSync(build).filter((name) => name.startsWith(prefix()))) {
      rmSync(join(build, name), { recursive: true, force: true })
    }
  }
}

export const setup = (project) => {
  process.env.CARAVEL_BUNDLES = prefix()
  // In watch mode, sources have changed.
  project.onTestsRerun(remove)
}

export const teardown = remove

const packageOf = (path) => existsSync(join(path, "package.json")) ? path : packageOf(dirname(path))

/**
 * Bundles an entry point into a folder in `build` of its package, where it finds its drivers and files, and beside it those that it
 * starts as processes. Returns the path of the bundle.
 */
export const bundle = (entry, ...beside) => {
  const path = fileURLToPath(entry)
  const home = packageOf(dirname(path))
  const build = join(home, "build")
  const bundled = join(build, `${prefix()}${relative(home, path).replaceAll(sep, "-")}`)
  if (!existsSync(bundled)) {
    if (process.env.CARAVEL_BUNDLES === undefined) process.once("exit", remove)
    mkdirSync(build, { recursive: true })
    const unfinished = mkdtempSync(`${bundled}-`)
    buildSync({
      entryPoints: [path, ...beside.map(fileURLToPath)],
      outdir: unfinished,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      format: "esm",
      conditions: ["@caravel/source"],
      external: ["better-sqlite3", "pg"],
      banner: {
        js: `import * as nodeModule from "node:module"; const require = nodeModule.createRequire(import.meta.url)`
      }
    })
    try {
      renameSync(unfinished, bundled)
    } catch (error) {
      if (!existsSync(bundled)) throw error
      // Another test file has just made the same bundle.
      rmSync(unfinished, { recursive: true })
    }
  }
  return join(bundled, `${basename(path, ".ts")}.mjs`)
}
