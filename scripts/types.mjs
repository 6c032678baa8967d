// Type-checks all sources, tests and examples as one program, with a copy of TypeScript that also reports the diagnostics of
// Effect's language service; their severities stand in tsconfig.base.json. The language service's own command loads a program a package
// and took three times the processor time.
import { cpSync, existsSync, realpathSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { catalog, finish, root, run } from "./workspace.mjs"

const versions = ["typescript", "@effect/language-service"].map((name) => catalog[name])
const copy = join(root, "build", `typescript-${versions.join("-")}`)
if (!existsSync(copy)) {
  const partial = `${copy}.partial`
  rmSync(partial, { recursive: true, force: true })
  cpSync(realpathSync(join(root, "node_modules/typescript")), partial, { recursive: true })
  const patch = ["patch", "--module", "tsc", "--dir", partial]
  if (!run("effect-language-service", patch, { quiet: true })) finish(["types: TypeScript could not be patched"])
  renameSync(partial, copy)
}
if (!run("node", [join(copy, "bin/tsc"), "-p", "tsconfig.check.json"])) finish(["types: see above"])
finish([], "types: all sources, tests and examples compile, without diagnostics of Effect's language service")
