/** The machine that a run took place on. */
import Database from "better-sqlite3"
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as os from "node:os"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

/** The machine, the versions and the commit. */
export const Machine = Schema.Struct({
  cpu: Schema.String,
  cores: Schema.Number,
  memoryGiB: Schema.Number,
  os: Schema.String,
  /** The file system of the database files, and its device. */
  disk: Schema.String,
  node: Schema.String,
  versions: Schema.Record({ key: Schema.String, value: Schema.String }),
  commit: Schema.String
})

export interface Machine extends Schema.Schema.Type<typeof Machine> {}

/** The machine of this process, with the disk of this directory. */
export const detect = (directory: string): Effect.Effect<Machine> =>
  Effect.promise(async () => ({
    cpu: os.cpus()[0]?.model ?? "unknown",
    cores: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    os: `${os.type()} ${os.release()} ${os.arch()}`,
    disk: await diskOf(directory),
    node: process.version,
    versions: await versions(),
    commit: await commit()
  }))

const directoryOf = fileURLToPath(new URL("..", import.meta.url))

const output = async (command: string, ...args: ReadonlyArray<string>) => {
  const { stdout } = await promisify(execFile)(command, args, { cwd: directoryOf })
  return stdout.trim()
}

const commit = async () => {
  try {
    const hash = await output("git", "rev-parse", "--short=12", "HEAD")
    const changes = await output("git", "status", "--porcelain", "--", "..")
    return changes === "" ? hash : `${hash} with uncommitted changes`
  } catch {
    return "unknown"
  }
}

/** File systems on which commits cost nothing, as nothing is stored. */
const inMemory = ["tmpfs", "ramfs"]

const diskOf = async (directory: string) => {
  try {
    const [, line = ""] = (await output("df", "--output=fstype,source", "--", directory)).split("\n")
    const [type = "unknown", source = "unknown"] = line.trim().split(/\s+/)
    return inMemory.includes(type) ? `${type}: in memory, syncing costs nothing here` : `${type} on ${source}`
  } catch {
    return `file system type ${(await fs.statfs(directory)).type.toString(16)}`
  }
}

const measured = [
  "effect",
  "better-sqlite3",
  "@effect/sql",
  "@effect/sql-sqlite-node",
  "@effect/sql-pg",
  "@effect/experimental",
  "@event-driven-io/emmett-sqlite",
  "@event-driven-io/emmett-postgresql",
  "drizzle-orm",
  "kysely"
]

/** The installed versions of the measured packages. Packages need not export their package.json. */
const versions = async () => {
  const require = createRequire(import.meta.url)
  const found: Record<string, string> = { SQLite: sqliteVersion() }
  for (const name of measured) {
    for (const folder of require.resolve.paths(name) ?? []) {
      const text = await fs.readFile(`${folder}/${name}/package.json`, "utf8").catch(() => undefined)
      if (text === undefined) continue
      found[name] = JSON.parse(text).version
      break
    }
  }
  return found
}

const sqliteVersion = () => {
  const db = new Database(":memory:")
  try {
    return String(db.prepare("SELECT sqlite_version()").pluck().get())
  } finally {
    db.close()
  }
}
