// What the scripts share: the packages, running a tool, and a place where an example resolves as at a user's.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs"
import { createRequire } from "node:module"
import { delimiter, dirname, join } from "node:path"
import { arch, platform } from "node:process"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("..", import.meta.url))

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"))

const packagesIn = (folder) =>
  readdirSync(join(root, folder))
    .map((name) => ({ name, path: join(root, folder, name) }))
    .filter(({ path }) => existsSync(join(path, "package.json")))
    .map((entry) => ({ ...entry, json: readJson(join(entry.path, "package.json")) }))

/** The packages: the name of the folder, its path, and its package.json. */
export const packages = packagesIn("packages")

/** The programs to copy from, which are private packages. */
export const examples = packagesIn("examples")

/** The compiler of TypeScript 7, a program. It takes a seventh of the time of TypeScript 5.9. */
export const typescript7 = () => {
  const ofTsgo = createRequire(createRequire(import.meta.url).resolve("@effect/tsgo/package.json"))
  return ofTsgo.resolve(`@effect/tsgo-${platform}-${arch}/lib/tsc${platform === "win32" ? ".exe" : ""}`)
}

/** The versions or ranges under a heading of pnpm-workspace.yaml, by name. */
const versionsUnder = (heading) => {
  const lines = readFileSync(join(root, "pnpm-workspace.yaml"), "utf8").split("\n")
  const start = lines.findIndex((line) => line.trim() === `${heading}:`)
  const indent = lines[start].search(/\S/)
  const end = lines.findIndex((line, i) => i > start && line.trim() !== "" && line.search(/\S/) <= indent)
  return Object.fromEntries(
    lines.slice(start + 1, end).flatMap((line) =>
      [...line.matchAll(/^ +"?([^":#]+)"?: (\S+)$/g)].map(([, ...entry]) => entry)
    )
  )
}

/** The exact versions that the workspace is built with. */
export const catalog = versionsUnder("catalog")
/** The ranges of the packages that users bring along. */
export const peers = versionsUnder("peers")

const toolsPath = [join(root, "node_modules/.bin"), process.env.PATH].join(delimiter)

/** Runs a tool of the workspace, its output shown, or with `quiet` only if it fails; says whether it succeeded. */
export const run = (command, args, { env, quiet = false, ...options } = {}) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd: root,
    stdio: quiet ? "pipe" : "inherit",
    ...options,
    env: { ...process.env, ...env, PATH: toolsPath }
  })
  if (error) console.error(`${command}: ${error.message}`)
  if (quiet && status !== 0) console.error(`${stdout ?? ""}${stderr ?? ""}`)
  return status === 0
}

/** Runs a tool of the workspace beside others. Returns, when it has ended, whether it succeeded and what it wrote. */
export const runBeside = (command, args) =>
  new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, PATH: toolsPath },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    const append = (text) => output += text
    child.stdout.setEncoding("utf8").on("data", append)
    child.stderr.setEncoding("utf8").on("data", append)
    child.on("error", (error) => resolve({ passed: false, output: `${output}${command}: ${error.message}\n` }))
    child.on("close", (status) => resolve({ passed: status === 0, output }))
  })

/** Ends the script, with what is wrong, if anything is. */
export const finish = (problems, success) => {
  for (const problem of problems) console.error(problem)
  if (problems.length === 0) console.log(success)
  process.exit(problems.length === 0 ? 0 : 1)
}

/**
 * What examples change of the workspace's compiler options: nothing is emitted, a value may be named only to show it, and the
 * packages are as they were built, as at a user's; compiling their sources again would take most of the time.
 */
export const exampleOptions = {
  noEmit: true,
  declaration: false,
  declarationMap: false,
  sourceMap: false,
  types: ["node"],
  noUnusedLocals: false,
  customConditions: []
}

/** Builds the packages, of which only those that have changed are compiled. */
export const build = () => {
  if (!run("tsc", ["-b", "tsconfig.build.json"])) finish(["the build failed"])
}

/**
 * An empty folder `build/<name>`, in which imports resolve as in a project with every package and its peers
 * installed: `build/node_modules` links to the packages and to what they depend on. One version of each, by the catalog.
 */
export const examplesFolder = (name) => {
  const modules = join(root, "build/node_modules")
  const link = (target, dependency) => {
    const path = join(modules, dependency)
    mkdirSync(dirname(path), { recursive: true })
    rmSync(path, { force: true })
    symlinkSync(realpathSync(target), path)
  }
  for (const { json, path } of packages) {
    link(path, json.name)
    for (const dependency of Object.keys({ ...json.dependencies, ...json.devDependencies })) {
      link(join(path, "node_modules", dependency), dependency)
    }
  }
  const folder = join(root, "build", name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}
