/** Backups, restores, copies and imports. The target is as before, or complete. */
import { Journal, Query, type StorageError } from "@caravel/domain"
import { Backup, Copy, Import, Sqlite } from "@caravel/sql"
import Database from "better-sqlite3"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import { check, create, createRelays, must, mustBeSound, mustWork, withDatabase } from "./Databases.js"
import { copyOpen } from "./OpenFiles.js"
import { make, type Operation } from "./Operation.js"

const filenameIn = (directory: string) => join(directory, "caravel.db")
const backupIn = (directory: string) => join(directory, "backup.db")

/** The heads of the source and of the earlier target. */
const [head, headBefore] = [31, 4]

const isEmpty = (filename: string) => !fs.existsSync(filename) || fs.statSync(filename).size === 0

/** Whether the database has this head, without changing it. */
const headOf = (filename: string) =>
  withDatabase(filename, Effect.zipRight(mustBeSound, Effect.flatMap(Journal, (journal) => journal.head)))

/** The backup must be at one of the heads. It is not there yet if 0 is one of them. */
const mustBeAt = (filename: string, heads: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const found = isEmpty(filename) ? 0 : yield* headOf(filename)
    yield* must(heads.includes(found), `${filename} is at ${found} and must be at ${heads.join(" or ")}`)
  })

/** A backup to a new file, or one that replaces an earlier backup. */
export const backup = (overwrite: boolean): Operation => {
  const makeBackup = (directory: string) =>
    Backup.backup({ from: filenameIn(directory), to: backupIn(directory), overwrite })
  return make({
    title: overwrite ? "backup over an earlier one" : "backup",
    prepare: (directory) =>
      Effect.gen(function*() {
        yield* create(filenameIn(directory), headBefore - 1 - (overwrite ? 2 : 0))
        if (overwrite) {
          // A process that was killed has left the last commits in its log.
          yield* withDatabase(
            filenameIn(directory),
            Effect.zipRight(
              createRelays("t", 2),
              Effect.sync(() => copyOpen(filenameIn(directory), backupIn(directory)))
            )
          )
        }
        yield* withDatabase(filenameIn(directory), createRelays("s", head - headBefore))
      }),
    run: (directory, acknowledge) => Effect.zipRight(makeBackup(directory), acknowledge("made")),
    check: (directory, acknowledged) =>
      Effect.gen(function*() {
        yield* mustBeAt(backupIn(directory), acknowledged.length > 0 ? [head] : [overwrite ? headBefore : 0, head])
        yield* mustBeAt(filenameIn(directory), [head])
        yield* Backup.backup({ from: filenameIn(directory), to: backupIn(directory), overwrite: true })
        yield* mustBeAt(backupIn(directory), [head])
        yield* check(filenameIn(directory))
      })
  })
}

/** Bytes that are no database. */
const writeDamaged = (filename: string) =>
  Effect.sync(() => {
    const bytes = fs.readFileSync(filename)
    bytes.fill(0xa5, 0, bytes.length / 2)
    fs.writeFileSync(filename, bytes)
    fs.writeFileSync(`${filename}-wal`, bytes)
  })

/** A restore to a file that does not exist, that is a sound database, or that is damaged. */
export const restore = (target: "new" | "sound" | "damaged"): Operation => {
  const restoreTo = (directory: string) =>
    Backup.restore({ from: backupIn(directory), to: filenameIn(directory), overwrite: true })
  const isDamaged = ({ reason }: StorageError) => target === "damaged" && reason === "corrupt"
  return make({
    title: `restore to a ${target} file`,
    prepare: (directory) =>
      Effect.gen(function*() {
        yield* create(filenameIn(directory), head - 1)
        yield* Backup.backup({ from: filenameIn(directory), to: backupIn(directory) })
        yield* Effect.sync(() => fs.rmSync(filenameIn(directory)))
        if (target === "new") return
        yield* create(filenameIn(directory), headBefore - 1)
        if (target === "damaged") yield* writeDamaged(filenameIn(directory))
      }),
    run: (directory, acknowledge) => Effect.zipRight(restoreTo(directory), acknowledge("restored")),
    check: (directory, acknowledged) =>
      Effect.gen(function*() {
        const filename = filenameIn(directory)
        yield* mustBeAt(backupIn(directory), [head])
        const isRestored = acknowledged.length > 0
        yield* mustBeAt(filename, isRestored ? [head] : [target === "new" ? 0 : headBefore, head]).pipe(
          Effect.catchIf(
            (error): error is StorageError => error._tag === "StorageError" && isDamaged(error) && !isRestored,
            () => Effect.void
          )
        )
        yield* restoreTo(directory)
        yield* mustBeAt(filename, [head])
        yield* check(filename)
      })
  })
}

/** A copy to another database file. */
export const copy: Operation = make({
  title: "copy",
  prepare: (directory) => create(filenameIn(directory), head - 1),
  run: (directory, acknowledge) => Effect.zipRight(copyOnce(directory), acknowledge("copied")),
  check: (directory, acknowledged) =>
    Effect.gen(function*() {
      const target = join(directory, "copy.db")
      yield* mustBeAt(filenameIn(directory), [head])
      const isComplete = acknowledged.length > 0
      // Before it has started, the target is an empty database.
      yield* mustBeAt(target, isComplete ? [head] : [0, head]).pipe(
        Effect.catchIf(
          (error) => error._tag === "StorageError" && !isComplete && isUnfinished(error),
          () => Effect.void
        )
      )
      const { position } = yield* copyOnce(directory)
      yield* must(position === head, `the copy is at ${position}`)
      yield* mustBeAt(target, [head])
      yield* check(filenameIn(directory))
    })
})

const copyOnce = (directory: string) =>
  Copy.copy({ from: { filename: filenameIn(directory) }, to: { filename: join(directory, "copy.db") } })

const isUnfinished = ({ message }: StorageError) => /unfinished/.test(message)

const importedRelays = 40

const sourceIn = (directory: string) => join(directory, "source.db")

/** An import from another program's database. */
export const importAll: Operation = make({
  title: "import",
  prepare: (directory) => Effect.sync(() => writeSource(sourceIn(directory))),
  run: (directory, acknowledge) => Effect.zipRight(importOnce(directory), acknowledge("imported")),
  check: (directory, acknowledged) =>
    Effect.gen(function*() {
      const filename = filenameIn(directory)
      const isImported = acknowledged.length > 0
      yield* withDatabase(
        filename,
        Effect.gen(function*() {
          yield* mustBeSound
          const relays = yield* (yield* Query).relays
          yield* must(!isImported || relays.length === importedRelays, `after an import: ${relays.length} relays`)
        })
      )
      const report = yield* importOnce(directory)
      yield* must(
        report.relays === importedRelays && report.activities === importedRelays + 1 && report.refused === 0,
        `an import that was interrupted and completed reports ${JSON.stringify(report)}`
      )
      yield* withDatabase(
        filename,
        Effect.gen(function*() {
          const query = yield* Query
          const [relays, activities] = [yield* query.relays, yield* query.activity()]
          yield* must(
            relays.length === importedRelays && activities.length === importedRelays + 1,
            `after an import that was completed: ${relays.length} relays, ${activities.length} activities`
          )
          yield* mustBeSound
          yield* mustWork
        })
      )
    })
})

const importOnce = (directory: string) =>
  Effect.scoped(Effect.flatMap(
    Layer.build(Sqlite.layer({ filename: filenameIn(directory) })),
    (context) => Effect.provide(Import.run({ source: sourceIn(directory) }), context)
  ))

/** A database with the schema that imports read. */
const writeSource = (filename: string) => {
  const database = new Database(filename)
  database.exec(`
    CREATE TABLE tenant (pubkey TEXT PRIMARY KEY, created_at INTEGER);
    CREATE TABLE relay (id TEXT PRIMARY KEY, tenant TEXT, subdomain TEXT, status TEXT, created_at INTEGER);
    CREATE TABLE activity (
      id TEXT PRIMARY KEY, tenant TEXT, created_at INTEGER, activity_type TEXT, resource_type TEXT, resource_id TEXT
    );`)
  const tenant = "d".repeat(64)
  const created = 1_600_000_000
  const activity = database.prepare("INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?)")
  const log = (n: number, type: string, resource: string, id: string) =>
    activity.run(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`, tenant, created + n, type, resource, id)
  database.prepare("INSERT INTO tenant VALUES (?, ?)").run(tenant, created)
  log(0, "create_tenant", "tenant", tenant)
  for (let n = 1; n <= importedRelays; n++) {
    database.prepare("INSERT INTO relay VALUES (?, ?, ?, 'active', ?)").run(`i-${n}`, tenant, `i-${n}`, created + n)
    log(n, "create_relay", "relay", `i-${n}`)
  }
  database.close()
}
