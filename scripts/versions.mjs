// Every version stands once, exact, in the catalog of pnpm-workspace.yaml; the lockfile names no registry's host.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { finish, packages, readJson, root } from "./workspace.mjs"

const problems = []

// What a package's users bring along (peerDependencies) has a range.
const manifests = [{ name: "the root", json: readJson(join(root, "package.json")) }, ...packages]
for (const { json, name } of manifests) {
  for (const field of ["dependencies", "devDependencies", "optionalDependencies"]) {
    for (const [dependency, version] of Object.entries(json[field] ?? {})) {
      const expected = dependency.startsWith("@caravel/") ? "workspace:^" : "catalog:"
      if (version !== expected) problems.push(`versions: ${name} has ${dependency} ${version}, not ${expected}`)
    }
  }
}

const workspace = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")
const catalog = /^catalog:\n((?: .*\n|\n)*)/m.exec(workspace)?.[1] ?? ""
const entries = catalog.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("#"))
if (entries.length === 0) problems.push("versions: pnpm-workspace.yaml has no catalog")
for (const line of entries) {
  if (!/^ {2}("[^"]+"|[\w.-]+): \d+\.\d+\.\d+(-[\w.]+)?$/.test(line)) {
    problems.push(`versions: not an exact version in the catalog:${line}`)
  }
}
if (/^(catalogs|overrides):/m.test(workspace)) problems.push("versions: one catalog, and nothing beside it")

readFileSync(join(root, "pnpm-lock.yaml"), "utf8").split("\n").forEach((line, i) => {
  if (/https?:\/\//.test(line) && !/^\s*deprecated:/.test(line)) {
    problems.push(`versions: pnpm-lock.yaml:${i + 1} names a host: ${line.trim()}`)
  }
})

finish(problems, `versions: ${entries.length} in the catalog, all exact`)
