// Packs, checks and publishes every public package: see docs/releasing.md. With `--dry-run`, nothing is published.
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { finish, packages, root, run } from "./workspace.mjs"

const isDryRun = process.argv.includes("--dry-run")
const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim()
const published = packages.filter(({ json }) => json.private !== true)

const problems = []
if (git("status", "--porcelain") !== "") problems.push("release: there are uncommitted changes")

const waiting = existsSync(join(root, ".changeset"))
  ? readdirSync(join(root, ".changeset")).filter((name) => name.endsWith(".md") && name !== "README.md")
  : []
if (waiting.length > 0) problems.push(`release: run "pnpm changeset version" first; it takes in ${waiting.join(", ")}`)

const versions = [...new Set(published.map(({ json }) => json.version))]
if (versions.length !== 1) problems.push(`release: the packages have the versions ${versions.join(", ")}`)
const tag = `v${versions[0]}`
if (git("tag", "--list", tag) !== "") problems.push(`release: ${tag} exists; ${versions[0]} has been released`)

if (!isDryRun) {
  const path = (address) => address.replace(/^git\+|\.git$/g, "").replace(/^git@([^:]+):/, "https://$1/")
  const origin = git("remote").split("\n").includes("origin") ? path(git("remote", "get-url", "origin")) : "no origin"
  for (const { json, name } of published) {
    const address = path(json.repository.url)
    if (address !== origin) problems.push(`release: ${name} names the repository ${address}, but origin is ${origin}`)
  }
}
if (problems.length > 0) finish(problems)

if (!run("node", ["scripts/packages.mjs"]) || !run("node", ["scripts/installs.mjs"])) {
  finish(["release: a check failed"])
}

/** A package comes after those that it depends on. */
const ordered = []
const add = (entry) => {
  if (ordered.includes(entry)) return
  for (const other of published) if (other.json.name in (entry.json.dependencies ?? {})) add(other)
  ordered.push(entry)
}
for (const entry of published) add(entry)

for (const { json, name } of ordered) {
  const tarball = join(root, "build/packages", `caravel-${name}-${json.version}.tgz`)
  if (
    !run("npm", ["publish", tarball, "--access", "public", ...(isDryRun ? ["--dry-run"] : [])], { quiet: isDryRun })
  ) {
    finish([`release: npm refuses ${name}`])
  }
  console.log(`${json.name}@${json.version}: ${isDryRun ? "would be published" : "published"}`)
}
if (!isDryRun) git("tag", tag)
finish([], isDryRun ? "release: nothing was published" : `release: published and tagged ${tag}; push the tag`)
