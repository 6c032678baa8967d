// Compiles every ```ts snippet of README.md, docs/**/*.md and the packages' README.md in one program, then runs them: tests with vitest, the others
// with tsx, all in one process. If that fails, each runs on its own, to say which. A fence of "```ts no-run" is only compiled.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { build, exampleOptions, examplesFolder, finish, packages, root, run } from "./workspace.mjs"

const documents = [
  "README.md",
  ...(existsSync(join(root, "docs")) ? readdirSync(join(root, "docs"), { recursive: true }) : [])
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
  ...packages.map(({ name }) => join("packages", name, "README.md"))
].filter((name) => existsSync(join(root, name)))

/** The snippets of a document, each after as many empty lines as stand before it: errors then name the document's own lines. */
const snippets = (document) => {
  const lines = readFileSync(join(root, document), "utf8").split(/\r?\n/)
  const found = []
  for (let i = 0; i < lines.length; i++) {
    const [, indent, fence, language, info] = /^(\s*)(`{3,}|~{3,})\s*([\w-]*)\s*(.*)$/.exec(lines[i]) ?? []
    if (fence === undefined) continue
    const start = i + 1
    while (++i < lines.length && lines[i].trim() !== fence);
    if (language !== "ts" && language !== "typescript") continue
    const body = lines.slice(start, i).map((line) => line.startsWith(indent) ? line.slice(indent.length) : line)
    const source = "\n".repeat(start) + body.join("\n") + "\n"
    const isTest = /from "(vitest|@effect\/vitest|@caravel\/conformance)"/.test(source)
    found.push({
      title: `${document}:${start}`,
      file: `${document.replace(/\.md$/, "").replaceAll(/\W+/g, "-")}.${start}${isTest ? ".test" : ""}.ts`,
      source,
      isTest,
      isRun: !/\bno-run\b/.test(info)
    })
  }
  return found
}

const all = documents.flatMap(snippets)
if (all.length === 0) finish(["readme: README.md has no snippets"])
const cwd = examplesFolder("readme")
const work = join(cwd, "work") // whatever a snippet writes, as ./data, lands here
mkdirSync(work)
for (const { file, source } of all) writeFileSync(join(cwd, file), source)
writeFileSync(join(cwd, "package.json"), JSON.stringify({ private: true, type: "module" }))
writeFileSync(
  join(cwd, "tsconfig.json"),
  JSON.stringify({
    extends: "../../tsconfig.base.json",
    compilerOptions: exampleOptions,
    files: all.map(({ file }) => file)
  })
)
writeFileSync(
  join(cwd, "vitest.config.ts"),
  `export default { test: { include: ["*.test.ts"] } }\n`
)

build()
if (!run("tsc", ["-p", cwd])) {
  finish(["readme: a snippet does not compile; a file's number is its snippet's line"])
}

const options = { cwd: work, timeout: 120_000 }
const tsx = (path) => run("tsx", ["--tsconfig", join(cwd, "tsconfig.json"), path], options)
const vitest = (paths) => run("vitest", ["run", "--root", cwd, ...paths], options)

const running = all.filter(({ isRun }) => isRun)
const tests = running.filter(({ isTest }) => isTest)
const programs = running.filter(({ isTest }) => !isTest)
const pathOf = ({ file }) => join(cwd, file)

writeFileSync(
  join(cwd, "programs.ts"),
  programs.map(({ file }) => `import "./${file.replace(/ts$/, "js")}"\n`).join("")
)

const problems = []
if (programs.length > 0 && !tsx(join(cwd, "programs.ts"))) {
  for (const program of programs) {
    console.log(`\n${program.title}`)
    if (!tsx(pathOf(program))) problems.push(`readme: ${program.title} failed`)
  }
  if (problems.length === 0) problems.push("readme: programs that run alone fail together; do they share a file?")
}
if (tests.length > 0 && !vitest(tests.map(pathOf))) {
  problems.push(`readme: a test failed; there are ${tests.map(({ title }) => title).join(", ")}`)
}
finish(problems, `\nreadme: ${all.length} snippets compile, ${running.length} ran`)
