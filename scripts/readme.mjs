// Compiles every ```ts snippet of README.md and docs/**/*.md in one program, then runs each: with tsx, or with vitest if it
// is a test. A fence of "```ts no-run" is only compiled.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { exampleOptions, examplesFolder, finish, root, run, sourceConditions } from "./workspace.mjs"

const documents = [
  "README.md",
  ...(existsSync(join(root, "docs")) ? readdirSync(join(root, "docs"), { recursive: true }) : [])
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name))
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
  `import { project } from "../../vitest.project.js"\nexport default { ...project("readme"), test: { include: ["*.test.ts"] } }\n`
)

if (!run("tsc", ["-p", cwd])) {
  finish(["readme: a snippet does not compile; a file's number is its snippet's line"])
}

const problems = []
for (const { file, isRun, isTest, title } of all) {
  if (!isRun) continue
  console.log(`\n${title}`)
  const path = join(cwd, file)
  const [command, ...args] = isTest
    ? ["vitest", "run", "--root", cwd, path]
    : ["tsx", "--tsconfig", join(cwd, "tsconfig.json"), path]
  if (!run(command, args, { cwd: work, env: sourceConditions, timeout: 60_000 })) {
    problems.push(`readme: ${title} failed`)
  }
}
finish(problems, `\nreadme: ${all.length} snippets compile, ${all.filter(({ isRun }) => isRun).length} ran`)
