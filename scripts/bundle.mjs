// Programs that tests start as processes, each in one file: from their sources, through a compiler, they start six to ten times
// as slowly.
import { buildSync } from "esbuild"
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const packageOf = (path) => existsSync(join(path, "package.json")) ? path : packageOf(dirname(path))

const bundles = new Map()

/**
 * Bundles an entry point into the `build` folder of its package, where it finds its drivers, and beside it those that it starts as
 * processes. Returns the path of the bundle, which is removed when this process exits.
 */
export const bundle = (entry, ...beside) => {
  const path = fileURLToPath(entry)
  const known = bundles.get(path)
  if (known !== undefined) return known
  const build = join(packageOf(dirname(path)), "build")
  mkdirSync(build, { recursive: true })
  const folder = mkdtempSync(join(build, "bundle-"))
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }))
  buildSync({
    entryPoints: [path, ...beside.map(fileURLToPath)],
    outdir: folder,
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
  const outfile = join(folder, `${basename(path, ".ts")}.mjs`)
  bundles.set(path, outfile)
  return outfile
}
