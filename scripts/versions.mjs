// Every version stands once, exact, in the catalog of pnpm-workspace.yaml, and the range of each peer once beside it; the lockfile
// names no registry's host.
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { catalog, examples, finish, packages, peers, readJson, root } from "./workspace.mjs"

const problems = []

const manifests = [{ name: "the root", json: readJson(join(root, "package.json")) }, ...packages, ...examples]
for (const { json, name } of manifests) {
  for (const field of ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"]) {
    for (const [dependency, version] of Object.entries(json[field] ?? {})) {
      const own = dependency.startsWith("@caravel/")
      const expected = own ? "workspace:^" : field === "peerDependencies" ? "catalog:peers" : "catalog:"
      if (version !== expected) problems.push(`versions: ${name} has ${dependency} ${version}, not ${expected}`)
      // A dependency could come twice into an application: its own and ours.
      if (field === "dependencies" && json.private !== true && dependency in peers) {
        problems.push(`versions: ${name} has ${dependency} among its dependencies, not its peers`)
      }
    }
  }
}

for (const [name, version] of Object.entries(catalog)) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
    problems.push(`versions: not exact in the catalog: ${name} ${version}`)
  }
}
for (const [name, range] of Object.entries(peers)) {
  const [oldest, used] = [range.slice(1), catalog[name]].map((version) => version?.split(".").map(Number))
  const kept = oldest[0] === 0 ? 2 : 1
  const admits = range.startsWith("^") && used !== undefined &&
    used.slice(0, kept).join() === oldest.slice(0, kept).join() &&
    (used[1] - oldest[1] || used[2] - oldest[2]) >= 0
  if (!admits) {
    problems.push(`versions: the range ${range} of the peer ${name} does not admit the catalog's ${catalog[name]}`)
  }
}
if (/^overrides:/m.test(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8"))) {
  problems.push("versions: pnpm-workspace.yaml has overrides")
}

readFileSync(join(root, "pnpm-lock.yaml"), "utf8").split("\n").forEach((line, i) => {
  if (/https?:\/\//.test(line) && !/^\s*deprecated:/.test(line)) {
    problems.push(`versions: pnpm-lock.yaml:${i + 1} names a host: ${line.trim()}`)
  }
})

finish(
  problems,
  `versions: ${Object.keys(catalog).length} in the catalog, all exact, and ${Object.keys(peers).length} ranges of peers`
)
