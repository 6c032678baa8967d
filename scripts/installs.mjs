// Installs the tarballs of build/packages, as scripts/packages.mjs packed them, into projects outside of this repository, by the lines
// of the README. In each it compiles the README's first program, with the declarations of all packages, runs it and bundles it.
// TypeScript 5.9 compiles the one on SQLite, and TypeScript 7 the others: users have either.
// `--matrix` takes TypeScript 5.9, npm and pnpm, the oldest and the newest version of each range, and Node 20, 22 and 24; without it, npm and the
// versions of the catalog. PostgreSQL takes part if CARAVEL_TEST_POSTGRES_URL is set.
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { catalog, finish, packages, peers, readJson, root, typescript7 } from "./workspace.mjs"

const matrix = process.argv.includes("--matrix")
const url = process.env.CARAVEL_TEST_POSTGRES_URL || undefined

const tarballs = Object.fromEntries(
  packages.filter(({ json }) => json.private !== true).map(({ json, name }) => [
    json.name,
    join(root, "build/packages", `caravel-${name}-${json.version}.tgz`)
  ])
)

/** What each kind of project asks for, in place of the README's versions. Peers that the line does not name come with it. */
const versions = {
  catalog,
  oldest: Object.fromEntries(Object.entries(peers).map(([name, range]) => [name, range.replace("^", "")])),
  newest: peers
}

const readme = readFileSync(join(root, "README.md"), "utf8")
const program = /```ts\n([^]*?)```/.exec(readme)[1]
const schema = `installs_${process.pid}`

/** The storages: the line of the README that installs each, and the program on it. */
const storages = {
  sqlite: {
    names: "@effect/sql-sqlite-node",
    program,
    subpath: "@caravel/sql/Sqlite",
    bundled: "better-sqlite3",
    other: "pg"
  },
  postgres: {
    names: "@effect/sql-pg",
    program: program.replaceAll("Sqlite", "Postgres").replace(
      "import { Console, Effect }",
      "import { Console, Effect, Redacted }"
    )
      .replace(`{ filename: "data/app.db" }`, `{ url: Redacted.make(${JSON.stringify(url)}), schema: "${schema}" }`),
    subpath: "@caravel/sql/Postgres",
    other: "better-sqlite3"
  },
  memory: {
    names: "@caravel/memory",
    program: program.replace("{ Sqlite } from \"@caravel/sql\"", "{ Memory } from \"@caravel/memory\"")
      .replace(`Sqlite.layer({ filename: "data/app.db" })`, "Memory.layer"),
    subpath: "@caravel/memory/Memory"
  }
}
const lineOf = ({ names }) => {
  const line = readme.split("\n").find((line) => line.startsWith("    npm install ") && line.includes(names))
  if (line === undefined) finish([`installs: the README has no line with ${names}`])
  return line.trim().split(" ").slice(2)
}

const problems = []
const folder = mkdtempSync(join(tmpdir(), "caravel-installs-"))
process.on("exit", () => rmSync(folder, { recursive: true, force: true }))

const projects = (matrix ? ["npm", "pnpm"] : ["npm"]).flatMap((manager) =>
  (matrix ? ["oldest", "newest"] : ["catalog"]).flatMap((ages) =>
    Object.keys(storages).filter((storage) => storage !== "postgres" || url !== undefined).map((storage) => ({
      manager,
      ages,
      storage
    }))
  )
)
if (url === undefined) console.log("installs: PostgreSQL skipped: set CARAVEL_TEST_POSTGRES_URL")

const typescript5 = [process.execPath, createRequire(import.meta.url).resolve("typescript/bin/tsc")]
const compilerOf = (storage) => matrix || storage === "sqlite" ? typescript5 : [typescript7()]
const { buildSync } = await import("esbuild")
const { packageManager } = readJson(join(root, "package.json"))

for (const { ages, manager, storage } of projects) {
  const title = `${storage}, ${manager}, ${ages} versions`
  const cwd = join(folder, `${storage}-${manager}-${ages}`)
  const { program, subpath, ...about } = storages[storage]
  mkdirSync(cwd)
  const run = (command, ...args) => {
    const { error, status, stderr, stdout } = spawnSync(command, args, {
      cwd,
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: "" }
    })
    const passed = error === undefined && status === 0
    if (!passed) {
      problems.push(
        `installs: ${title}: ${command} ${args.join(" ")} failed:\n${error?.message ?? ""}${stdout ?? ""}${
          stderr ?? ""
        }`
      )
    }
    return { passed, stdout }
  }
  const wanted = lineOf(about).map((spec) => {
    const name = spec.replace(/(?<=.)@[^@/]*$/, "")
    return tarballs[name] ?? `${name}@${versions[ages][name]}`
  })
  // The oldest of each range is the oldest of the peers that come with it, too.
  const others = ages === "oldest" && storage !== "memory"
    ? ["@effect/platform", "@effect/experimental"].map((name) => `${name}@${versions.oldest[name]}`)
    : []
  // The packages that a tarball depends on are tarballs as well.
  const manifest = {
    private: true,
    type: "module",
    pnpm: {
      overrides: Object.fromEntries(Object.entries(tarballs).map(([name, path]) => [name, `file:${path}`])),
      onlyBuiltDependencies: ["better-sqlite3"]
    }
  }
  writeFileSync(join(cwd, "package.json"), JSON.stringify(manifest))
  const installed = manager === "npm"
    ? run("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", ...wanted, ...others)
    : run(
      "npx",
      "--yes",
      packageManager,
      "add",
      "--ignore-scripts",
      "--config.strict-peer-dependencies=true",
      ...wanted,
      ...others
    )
  if (!installed.passed) continue
  if (storage === "sqlite") {
    // To build the driver takes a minute, so it is built only where its version is not the workspace's.
    const driver = realpathSync(join(cwd, "node_modules/better-sqlite3"))
    const own = realpathSync(join(root, "packages/sql/node_modules/better-sqlite3"))
    if (readJson(join(driver, "package.json")).version === readJson(join(own, "package.json")).version) {
      cpSync(join(own, "build"), join(driver, "build"), { recursive: true })
    } else if (
      manager === "npm"
        ? !run("npm", "rebuild", "better-sqlite3").passed
        : !run("npx", "--yes", packageManager, "rebuild", "better-sqlite3").passed
    ) continue
  }
  if (manager === "npm") run("npm", "ls", "--all")
  for (const name of ["effect", "@effect/sql"]) {
    const copies = new Set(
      readdirSync(join(cwd, "node_modules"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.name === "package.json" && entry.parentPath.endsWith(`node_modules/${name}`))
        .map(({ parentPath }) => realpathSync(parentPath))
    )
    if (copies.size > 1) problems.push(`installs: ${title}: ${copies.size} copies of ${name}`)
  }

  const compile = (module, moduleResolution, ...emit) => {
    writeFileSync(
      join(cwd, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          target: "ES2022",
          module,
          moduleResolution,
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck: false,
          outDir: "out"
        },
        files: ["main.ts", "only.ts"]
      })
    )
    return run(...compilerOf(storage), ...emit).passed
  }
  writeFileSync(join(cwd, "main.ts"), program)
  writeFileSync(
    join(cwd, "only.ts"),
    program.replace(/import \{ (Sqlite|Postgres|Memory) \} from ".*"/, `import * as $1 from "${subpath}"`)
  )
  if (matrix && !compile("ESNext", "Bundler", "--noEmit")) continue
  if (!compile("NodeNext", "NodeNext")) continue

  const nodes = matrix && storage !== "sqlite" ? [undefined, "22", "24"] : [undefined]
  for (const node of nodes) {
    for (const file of ["out/main.js", "out/only.js"]) {
      const { passed, stdout } = node === undefined
        ? run(process.execPath, file)
        : run("npx", "--yes", `node@${node}`, file)
      if (passed && !/a subscriber has received [12]\nthe tenant has \d+ relays\n$/.test(stdout)) {
        problems.push(`installs: ${title}: ${file} printed\n${stdout}`)
      }
    }
  }

  // A bundle of one storage has nothing of the other.
  const { inputs } = buildSync({
    absWorkingDir: cwd,
    entryPoints: ["only.ts"],
    outfile: "out/bundle.mjs",
    bundle: true,
    metafile: true,
    format: "esm",
    platform: storage === "memory" ? "browser" : "node",
    external: about.bundled === undefined ? [] : [about.bundled],
    banner: {
      js: storage === "memory"
        ? ""
        : `import * as nodeModule from "node:module"; const require = nodeModule.createRequire(import.meta.url)`
    }
  }).metafile
  const foreign = Object.keys(inputs).find((path) => path.includes(`node_modules/${about.other}/`))
  if (foreign !== undefined) problems.push(`installs: ${title}: the bundle has ${foreign}`)
  run(process.execPath, "out/bundle.mjs")
  console.log(`${title}: installed, compiled, run and bundled`)
}
if (url !== undefined) {
  execFileSync("psql", [url, "--quiet", "--command", `drop schema if exists ${schema} cascade`], { stdio: "ignore" })
}
finish(problems, `installs: ${projects.length} projects`)
