/** Copies of a database in one file, and a database made what such a copy is. */
import { currentInstant, type Epoch, makeEpoch, type Position, StorageError, type Verification } from "@caravel/domain"
import { Effect, Option, Schedule, Schema } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as Driver from "../../database/Driver.js"
import { toStorageError } from "../../database/StorageErrors.js"
import type { Options as PostgresOptions } from "../../postgres/PostgresDatabase.js"
import * as Epochs from "../../schema/Epochs.js"
import { attempt, prepareDirectory } from "../../sqlite/DatabaseFile.js"
import { sqlite } from "../../sqlite/SqliteDialect.js"
import * as CopySource from "../copy/CopySource.js"
import { openDatabase } from "../OpenDatabase.js"
import { copyPages } from "./CopyPages.js"
import * as PostgresRestore from "./PostgresRestore.js"
import type { OnStep as Told, VerifiedCopy } from "./VerifiedCopy.js"

/**
 * There is a file where one would be written. To recover, name another one, or say that it may be overwritten.
 *
 * @since 0.1.0
 * @category errors
 */
export class FileExists extends Schema.TaggedError<FileExists>("@caravel/sql/FileExists")("FileExists", {
  filename: Schema.String
}) {
  override get message() {
    return `${this.filename} exists; name another file, or overwrite it`
  }
}

export {
  /**
   * Why a PostgreSQL database is not restored to what a backup is.
   *
   * @since 0.1.0
   * @category errors
   */
  NotEmpty
} from "./PostgresRestore.js"

/**
 * Is told how far a copy is: in pages of SQLite files or events of PostgreSQL while it is copied or restored, in events while
 * rows are folded from them or compared with them. How long a file is checked is not known before.
 *
 * @since 0.1.0
 * @category models
 */
export type OnStep = Told

/**
 * An SQLite file, or a PostgreSQL database.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = string | PostgresOptions

/**
 * How it is copied.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether what is there may be overwritten; not by default. */
  readonly overwrite?: boolean | undefined
  readonly onStep?: OnStep | undefined
}

/**
 * What was copied.
 *
 * @since 0.1.0
 * @category models
 */
export interface Copied {
  readonly epoch: Epoch
  /** The last position of its journal. */
  readonly position: Position
  readonly tenants: number
  readonly relays: number
}

/**
 * Copies a database, as it is at one instant, to the SQLite file `to`. Writers do not wait for it. The copy
 * is one file, which appears under its name once it has been verified and is on the disk.
 *
 * It holds wallet URLs as they are stored, and only the user who made it may read it.
 *
 * @example
 * ```ts
 * import { Backup } from "@caravel/sql"
 *
 * const nightly = Backup.backup({ from: "data/caravel.db", to: "/backups/tuesday.db", overwrite: true })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const backup = (
  { from, onStep, overwrite = false, to }: Options & { readonly from: Place; readonly to: string }
): Effect.Effect<Copied, FileExists | StorageError> =>
  Effect.scoped(Effect.gen(function*() {
    yield* mayWrite("backup", from, to, overwrite)
    const copy = yield* copyBeside("backup", to)
    const copied = yield* typeof from === "string" ? copyOf(from, copy, onStep) : convertedCopyOf(from, copy, onStep)
    yield* attempt("backup", () => fs.chmod(copy, 0o600))
    yield* putInPlace("backup", copy, to)
    return copied
  }))

const copyOf = (from: string, to: string, onStep: OnStep | undefined) =>
  Effect.flatMap(copies, ({ verifiedCopy }) =>
    verifiedCopy(
      "backup",
      { from, to, onStep },
      ({ journal, verification }) => Effect.map(journal.epoch, (epoch) => copiedOf(epoch, verification))
    ))

const convertedCopyOf = (from: PostgresOptions, to: string, onStep: OnStep | undefined) =>
  Effect.gen(function*() {
    const source = yield* CopySource.make(yield* openDatabase(from, "source"), "backup")
    return copiedOf(source.epoch, yield* (yield* copies).convertedCopy("backup", { source, to, onStep }))
  })

/**
 * Makes a database what the backup in the SQLite file `from` is, in a new epoch. The backup is verified before.
 *
 * It happens in one transaction of that database: processes that have it open are refused whatever they would write from
 * then on, and positions of before are refused with `PositionFromOtherEpoch`. An SQLite file that is too damaged for a
 * transaction is replaced by another one, which processes that have it open notice within a second. On PostgreSQL, the role
 * must own the tables, and nobody else can use them until it is done.
 *
 * @example
 * ```ts
 * import { Backup } from "@caravel/sql"
 *
 * const undo = Backup.restore({ from: "/backups/tuesday.db", to: "data/caravel.db", overwrite: true })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const restore = (
  { from, onStep, overwrite = false, to }: Options & { readonly from: string; readonly to: Place }
): Effect.Effect<Copied, FileExists | PostgresRestore.NotEmpty | StorageError> =>
  Effect.scoped(Effect.gen(function*() {
    if (typeof to === "string") return yield* restoreFile(from, to, overwrite, onStep)
    yield* mustExist("restore", from)
    const become = yield* PostgresRestore.make(to, overwrite)
    const copy = yield* copyBeside("restore", path.join(tmpdir(), "caravel"))
    return yield* inNewEpoch(from, copy, onStep, ({ database }) =>
      Effect.scoped(Effect.gen(function*() {
        // It is open, and must not be left behind by a process that is killed: it holds wallet URLs.
        yield* Effect.promise(() => fs.rm(copy).catch(() => {}))
        const source = yield* CopySource.make(database)
        yield* become(source, (step, ...far) => onStep?.(step === "copying" ? "restoring" : step, ...far))
      })))
  }))

const restoreFile = (from: string, named: string, overwrite: boolean, onStep: OnStep | undefined) =>
  Effect.gen(function*() {
    yield* mayWrite("restore", from, named, overwrite)
    // The log of a database is beside the file itself, not beside a link to it.
    const to = yield* Effect.promise(() => fs.realpath(named).catch(() => named))
    yield* prepareDirectory(to)
    const copy = yield* copyBeside("restore", to)
    const copied = yield* inNewEpoch(from, copy, onStep, () => Effect.void)
    yield* transplant(copy, to, onStep)
    return copied
  })

const copies = Driver.loadSqlite(() => import("./VerifiedCopy.js"))

/** A verified copy of a backup, in an epoch that begins where it ends, for as long as `then` takes. */
const inNewEpoch = <E>(
  from: string,
  to: string,
  onStep: OnStep | undefined,
  then: (copy: VerifiedCopy) => Effect.Effect<unknown, E | StorageError>
) =>
  Effect.flatMap(
    copies,
    ({ verifiedCopy }) =>
      verifiedCopy("restore", { from, to, onStep }, (copy) =>
        Effect.gen(function*() {
          const { connection, verification } = copy
          const epoch = yield* makeEpoch
          yield* connection.execute(Epochs.beginEpoch, [epoch, (yield* currentInstant).epochMillis], undefined)
          // The processes that ran consumers when the backup was made do not run them in this epoch.
          yield* connection.execute("UPDATE caravel_lease SET fence = fence + 1, owner = NULL", [], undefined)
          yield* then(copy)
          return copiedOf(epoch, verification)
        }))
  )

const copiedOf = (epoch: Epoch, { head, relays, tenants }: Verification): Copied => ({
  epoch,
  position: head,
  tenants,
  relays
})

const refuse = (operation: string, why: string) =>
  new StorageError({ reason: "other", operation, cause: new Error(why) })

const statOf = (filename: string) => fs.stat(filename, { bigint: true })

const mustExist = (operation: string, filename: string) =>
  attempt(operation, () => statOf(filename)).pipe(
    Effect.mapError(() => refuse(operation, `there is no file ${filename}`)),
    Effect.filterOrFail((stat) => !stat.isDirectory(), () => refuse(operation, `${filename} is a directory`))
  )

/** Makes sure that there is something to copy, and that it is not where it would be copied to. */
const mayWrite = (operation: string, from: Place, to: string, overwrite: boolean) =>
  Effect.gen(function*() {
    const source = typeof from === "string" ? yield* mustExist(operation, from) : undefined
    const target = yield* Effect.option(attempt(operation, () => statOf(to)))
    if (Option.isNone(target)) return
    const { dev, ino } = target.value
    if (target.value.isDirectory()) return yield* refuse(operation, `${to} is a directory`)
    if (dev === source?.dev && ino === source.ino) {
      return yield* refuse(operation, `${String(from)} and ${to} are the same file`)
    }
    if (!overwrite) return yield* new FileExists({ filename: to })
  })

/** The name of a temporary file in a directory of its own, which other users cannot read and which is removed with the scope. */
const copyBeside = (operation: string, to: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.zipRight(
        Effect.mapError(
          attempt(operation, () => fs.access(path.dirname(path.resolve(to)))),
          () => refuse(operation, `there is no directory ${path.dirname(to)}`)
        ),
        attempt(operation, () => fs.mkdtemp(`${path.resolve(to)}.${operation}-`))
      ),
      (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
    ),
    (directory) => path.join(directory, path.basename(to))
  )

const sync = async (filename: string, flags: "r" | "r+") => {
  const handle = await fs.open(filename, flags)
  await handle.sync().finally(() => handle.close())
}

/** Renames a copy to its final name, durably. The log of the file that it replaces is removed: with it the copy would be damaged. */
const putInPlace = (operation: string, copy: string, to: string) =>
  Effect.uninterruptible(attempt(operation, async () => {
    await sync(copy, "r+")
    for (const suffix of ["-wal", "-shm", "-journal"]) await fs.rm(`${to}${suffix}`, { force: true })
    await fs.rename(copy, to)
    await sync(path.dirname(path.resolve(to)), "r")
  }))

/** A process that writes without a pause leaves little time between two transactions. */
const whileWritten = Schedule.jittered(Schedule.spaced("2 millis")).pipe(Schedule.upTo("30 seconds"))

/** Replaces a file that is too damaged for a transaction, and keeps its owner and mode. */
const replace = (copy: string, to: string) =>
  Effect.zipRight(
    attempt("restore", async () => {
      const { gid, mode, uid } = await fs.stat(to)
      await fs.chmod(copy, mode)
      await fs.chown(copy, uid, gid)
    }),
    putInPlace("restore", copy, to)
  )

/** Writes a copy into a file in one transaction, if that can be. */
const transplant = (copy: string, to: string, onStep: OnStep | undefined) =>
  Effect.scoped(Effect.gen(function*() {
    const database = yield* (yield* copies).connect(copy)
    const pages = copyPages(database, to, (done, total) => onStep?.("restoring", done, total))
    yield* Effect.filterOrFail(pages, (count) => count > 0, () => busy).pipe(
      Effect.retry({ while: (error) => error === busy, schedule: whileWritten })
    )
    // The driver leaves it to the system when the log reaches the disk.
    yield* attempt("restore", () => sync(`${to}-wal`, "r+").catch(unlessMissing))
    yield* attempt("restore", () => sync(path.dirname(path.resolve(to)), "r"))
  })).pipe(
    Effect.catchTag("SqlError", (error) => {
      const failure = toStorageError(sqlite, "restore")(error)
      return failure.reason === "corrupt" ? replace(copy, to) : Effect.fail(failure)
    })
  )

const busy = new StorageError({
  reason: "busy",
  operation: "restore",
  cause: new Error("other processes have been writing the database without a pause")
})

const unlessMissing = (error: NodeJS.ErrnoException) => {
  if (error.code !== "ENOENT") throw error
}
