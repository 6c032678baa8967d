// Packs every public package as it would be published, and looks at the tarballs with publint and arethetypeswrong.
import { execFileSync } from "node:child_process"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { build, finish, packages, readJson, root, run } from "./workspace.mjs"

const published = packages.filter(({ json }) => json.private !== true)
const folder = join(root, "build/packages")
rmSync(folder, { recursive: true, force: true })

build()

// npx, as pnpm may not be installed; by now it is in npx's cache.
const { packageManager } = readJson(join(root, "package.json"))
const filters = published.map(({ json }) => `--filter=${json.name}`)
if (
  !run("npx", ["--yes", packageManager, "--recursive", ...filters, "pack", "--pack-destination", folder], {
    quiet: true
  })
) {
  finish(["packages: packing failed"])
}

const tarballs = readdirSync(folder)
const problems = []
if (tarballs.length !== published.length) {
  problems.push(`packages: ${tarballs.length} of ${published.length} were packed`)
}

for (const name of tarballs) {
  const tarball = join(folder, name)
  const manifest = execFileSync("tar", ["-xOf", tarball, "package/package.json"], { encoding: "utf8" })
  for (const leftover of ["@caravel/source", "catalog:", "workspace:"]) {
    if (manifest.includes(leftover)) problems.push(`packages: package.json in ${name} still says ${leftover}`)
  }
  // A file that left src but not dist would be published for ever.
  const files = execFileSync("tar", ["-tf", tarball], { encoding: "utf8" }).split("\n")
  for (const file of files) {
    const source = file.replace("package/dist/", "package/src/").replace(/\.js$/, ".ts")
    if (/^package\/dist\/.*\.js$/.test(file) && !files.includes(source)) {
      problems.push(`packages: ${name} has ${file}, whose source is gone; remove the package's dist and run again`)
    }
    if (/\.test\.|tsbuildinfo/.test(file)) problems.push(`packages: ${name} has ${file}`)
  }
  if (!run("publint", ["run", tarball, "--strict"], { quiet: true })) problems.push(`packages: publint refuses ${name}`)
  if (!run("attw", [tarball, "--profile", "esm-only", "--no-emoji"], { quiet: true })) {
    problems.push(`packages: attw refuses ${name}`)
  }
}
finish(problems, `packages: ${tarballs.length} tarballs are sound`)
