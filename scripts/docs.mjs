// Runs docgen over the packages: each @example in their sources compiles and runs. That every export is documented is the
// linter's to say (eslint-rules/documented-export.mjs): docgen would also want @since of every file, and prose about a
// type that only repeats a schema's name.
//
// docgen takes one package, insists on its `homepage`, and rewrites imports of its name to `../../src`. So it gets a
// stand-in package with another name and with links to the sources that have examples: one run for all, and an example reads,
// resolves and runs as at a user's.
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { build, exampleOptions, examplesFolder, finish, packages, readJson, root, run } from "./workspace.mjs"

build()
const cwd = examplesFolder("docs")
for (const { name, path } of packages) {
  const src = join(path, "src")
  for (const file of readdirSync(src, { recursive: true }).filter((file) => file.endsWith(".ts"))) {
    if (!readFileSync(join(src, file), "utf8").includes("@example")) continue
    const link = join(cwd, "src", name, file)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(src, file), link)
  }
}

// docgen's entry point imports the examples without extensions, which NodeNext refuses.
const { compilerOptions } = readJson(join(root, "tsconfig.base.json"))
const options = { ...compilerOptions, ...exampleOptions, module: "ESNext", moduleResolution: "Bundler", plugins: [] }

const write = (name, content) => writeFileSync(join(cwd, name), JSON.stringify(content, null, 2))
write("package.json", { name: "caravel-docs", homepage: "", type: "module" })
write("docgen.json", {
  outDir: "out",
  enforceVersion: false,
  parseCompilerOptions: options,
  examplesCompilerOptions: options
})
if (!run("docgen", [], { cwd })) finish(["docs: docgen failed"])

// docgen passes over what stands where it does not look, as on the members of a type: an example there would never run.
const count = (folder, extension, pattern) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(extension))
    .reduce((sum, name) => sum + (readFileSync(join(folder, name), "utf8").match(pattern)?.length ?? 0), 0)

const written = packages.reduce(
  (sum, { path }) => sum + count(join(path, "src"), ".ts", /^\s*(\/\*)?\*\s*@example\b/gm),
  0
)
const ran = count(join(cwd, "out/modules"), ".md", /^\*\*Example\*\*$/gm)
finish(
  written === ran ? [] : [`docs: ${written} @example tags are written, but docgen found ${ran}; put them on exports`],
  `docs: ${ran} examples compile and run`
)
