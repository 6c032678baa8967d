// Breaks Caravel on purpose, in a copy, and tells which kind of fault finds it: `node packages/faults/breakages/run.mjs`,
// or with the names of breakages, and with `--only KINDS` in place of the kinds that each breakage names.
//
// First it runs each kind that is needed in the unbroken copy: what is found there says nothing about a breakage. Nor does a
// search that ends early, so a crash or a timeout counts as missed.
//
// A breakage is a file here, NAME.json: a sentence, the kinds that are to find it, and edits. Each edit is a file, a text
// that occurs in it once, and what replaces it.
import { execFileSync, spawn } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, "../../..")

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string" },
    // The end of a run that hangs.
    minutes: { type: "string", default: "10" }
  }
})

const all = readdirSync(here).filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -5)).sort()
const unknown = positionals.filter((name) => !all.includes(name))
if (unknown.length > 0) {
  console.error(`No breakage is called ${unknown.join(", ")}; there are ${all.join(", ")}`)
  process.exit(1)
}

/** Copies the files that git knows, as they are now, and links what is installed. */
const copyTree = () => {
  const copy = mkdtempSync(join(tmpdir(), "caravel-breakages-"))
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root })
  for (const file of files.toString().split("\0")) {
    if (file !== "" && existsSync(join(root, file))) cpSync(join(root, file), join(copy, file))
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
  // Their links are relative: packages find one another in the copy.
  for (const name of readdirSync(join(root, "packages"))) {
    const installed = join(root, "packages", name, "node_modules")
    if (!existsSync(installed)) continue
    cpSync(installed, join(copy, "packages", name, "node_modules"), { recursive: true, verbatimSymlinks: true })
  }
  return copy
}

const edit = (text, { file, find, replace }) => {
  const [before, ...after] = text.split(find)
  if (after.length !== 1) throw new Error(`${file} contains ${JSON.stringify(find)} ${after.length} times, not once`)
  return `${before}${replace}${after[0]}`
}

/** Runs one kind. Returns the title of what it has found, if anything, or else why it has not searched to the end, if so. */
const search = (copy, kind) =>
  new Promise((resolve) => {
    const report = join(copy, "report.json")
    rmSync(report, { force: true })
    const args = ["--conditions=@caravel/source", "--import", "tsx", "packages/faults/src/bin.ts"]
    const started = spawn(process.execPath, [...args, "--only", kind, "--json", report], {
      cwd: copy,
      stdio: "ignore",
      timeout: Number(values.minutes) * 60_000,
      killSignal: "SIGTERM"
    })
    started.on("close", (code, signal) => {
      if (!existsSync(report)) return resolve({ early: `it ended early (${signal ?? code})` })
      const { parts } = JSON.parse(readFileSync(report, "utf8"))
      const titles = parts.flatMap(({ findings }) => findings.map(({ title }) => title))
      const skipped = parts.find(({ skipped }) => skipped !== undefined)?.skipped
      resolve({
        title: titles.find((title) => !/\bit ended early$/.test(title)),
        early: titles[0] ?? (skipped === undefined ? undefined : `it was skipped: ${skipped}`)
      })
    })
  })

const secondsSince = (start) => ((performance.now() - start) / 1000).toFixed(0)

const breakages = (positionals.length > 0 ? positionals : all).map((name) => {
  const { edits, kinds } = JSON.parse(readFileSync(join(here, `${name}.json`), "utf8"))
  return { name, edits, kinds: values.only?.split(",") ?? kinds }
})

const copy = copyTree()
let missed = 0
try {
  for (const kind of new Set(breakages.flatMap(({ kinds }) => kinds))) {
    const start = performance.now()
    const { early, title } = await search(copy, kind)
    if (early !== undefined || title !== undefined) throw new Error(`unbroken, by ${kind}: ${title ?? early}`)
    console.error(`unbroken, by ${kind}: nothing, in ${secondsSince(start)} seconds`)
  }
  console.log("| breakage | found by | seconds | as |\n| --- | --- | ---: | --- |")
  for (const { edits, kinds, name } of breakages) {
    const originals = new Map(edits.map(({ file }) => [file, readFileSync(join(copy, file), "utf8")]))
    const broken = new Map(originals)
    for (const each of edits) broken.set(each.file, edit(broken.get(each.file), each))
    for (const [file, text] of broken) writeFileSync(join(copy, file), text)
    const start = performance.now()
    let [foundBy, as] = ["NONE", ""]
    for (const kind of kinds) {
      const { early, title } = await search(copy, kind)
      as = title ?? early ?? as
      if (title === undefined) continue
      foundBy = kind
      break
    }
    if (foundBy === "NONE") missed++
    console.log(`| ${name} | ${foundBy} | ${secondsSince(start)} | ${as.replaceAll("|", "\\|")} |`)
    for (const [file, text] of originals) writeFileSync(join(copy, file), text)
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
if (missed > 0) {
  console.error(`${missed} breakages were not found`)
  process.exitCode = 1
}
