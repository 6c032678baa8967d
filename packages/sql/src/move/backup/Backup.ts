/** Backs up a database to a single SQLite file, and restores a database from one. */
import { type Epoch, type Position, StorageError, type Verification } from "@caravel/domain"
import { currentInstant, makeEpoch } from "@caravel/domain/adapter"
import { Effect, Exit, Option, Schedule, Schema } from "effect"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as Driver from "../../database/Driver.js"
import { toStorageError } from "../../database/StorageErrors.js"
import type { Options as PostgresOptions } from "../../postgres/PostgresOptions.js"
import * as Epochs from "../../schema/Epochs.js"
import { attempt, mustBePath, prepareDirectory, realPath, sync } from "../../sqlite/DatabaseFile.js"
import { sqlite } from "../../sqlite/SqliteDialect.js"
import * as CopySource from "../copy/CopySource.js"
import { openDatabase } from "../OpenDatabase.js"
import { copyPages } from "./CopyPages.js"
import type { OnStep as OnBackupStep } from "./OnStep.js"
import * as PostgresRestore from "./PostgresRestore.js"
import type { VerifiedCopy } from "./VerifiedCopy.js"

/**
 * The target file already exists. Name another file, or allow this one to be overwritten.
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
   * The PostgreSQL database to restore already holds a journal.
   *
   * @since 0.1.0
   * @category errors
   */
  NotEmpty
} from "./PostgresRestore.js"

/**
 * Called with the progress of a copy. SQLite files are copied and restored in pages, and PostgreSQL databases in
 * events. Rows are projected and verified in events. The step `checking` reports no progress.
 *
 * @since 0.1.0
 * @category models
 */
export type OnStep = OnBackupStep

/**
 * An SQLite file, or a PostgreSQL database.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = string | PostgresOptions

/**
 * The options of a backup or restore.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether an existing target may be overwritten; false by default. */
  readonly overwrite?: boolean | undefined
  readonly onStep?: OnStep | undefined
}

/**
 * The contents of the copy.
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
 * Copies a database, as it is at one instant, to the SQLite file `to`. Writers do not wait. The file appears under its
 * name after it has been verified and synced to disk. If `to` is a symbolic link, the linked file is written, which must
 * exist.
 *
 * The copy holds wallet URLs as they are stored. Only the user who made it may read it.
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
    const file = yield* Effect.tap(realPath(to), mustBePath)
    const copy = yield* temporaryCopy("backup", file)
    const copied = yield* typeof from === "string" ? copyOf(from, copy, onStep) : convertedCopyOf(from, copy, onStep)
    // Another program may have made the target meanwhile.
    yield* mayWrite("backup", from, to, overwrite)
    yield* putInPlace("backup", copy, file)
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
    const source = yield* CopySource.make(yield* openDatabase({ migrate: false, ...from }, "source"), "backup")
    return copiedOf(source.epoch, yield* (yield* copies).convertedCopy("backup", { source, to, onStep }))
  })

/**
 * Verifies the backup in the SQLite file `from`, and replaces the contents of a database with it, in a new epoch.
 *
 * The replacement is one transaction. From then on, processes that have the database open cannot write to it, and
 * earlier positions are refused with `PositionFromOtherEpoch`. An SQLite file that is too damaged for a transaction is
 * replaced by a new file; processes that have the old file open notice within a second. On PostgreSQL, the role must
 * own the tables, which are locked until the restore ends.
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
    const replaceContents = yield* PostgresRestore.make(to, overwrite)
    const copy = yield* temporaryCopy("restore", path.join(tmpdir(), "caravel"))
    return yield* inNewEpoch(from, copy, onStep, ({ database }) =>
      Effect.scoped(Effect.gen(function*() {
        // The copy holds wallet URLs, so a killed process must not leave it behind. It stays readable while it is open.
        yield* Effect.promise(() => fs.rm(copy).catch(() => {}))
        const source = yield* CopySource.make(database)
        yield* replaceContents(source, (step, ...far) => onStep?.(step === "copying" ? "restoring" : step, ...far))
      })))
  }))

const restoreFile = (from: string, named: string, overwrite: boolean, onStep: OnStep | undefined) =>
  Effect.gen(function*() {
    const isNew = yield* mayWrite("restore", from, named, overwrite)
    const to = yield* realPath(named)
    yield* prepareDirectory(to)
    const copy = yield* temporaryCopy("restore", to)
    const copied = yield* inNewEpoch(from, copy, onStep, () => Effect.void)
    const restored = restoreInPlace(copy, to, onStep)
    yield* isNew ? intoNewFile(to, overwrite, restored) : restored
    return copied
  })

const copies = Driver.loadSqlite(() => import("./VerifiedCopy.js"))
const pageSizes = Driver.loadSqlite(() => import("./PageSize.js"))

/** Makes a verified copy of a backup, begins a new epoch at its head, and passes the copy to `then`. */
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
          // Leases of the backup's epoch are not valid in the new one.
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
  Effect.zipRight(
    mustBePath(filename),
    attempt(operation, () => statOf(filename)).pipe(
      Effect.mapError(() => refuse(operation, `there is no file ${filename}`)),
      Effect.filterOrFail((stat) => !stat.isDirectory(), () => refuse(operation, `${filename} is a directory`))
    )
  )

/**
 * Whether the target is a new file. Fails if the source is missing, if source and target are the same file, if the
 * target is a symbolic link to a missing file, or if the target exists and may not be overwritten.
 */
const mayWrite = (operation: string, from: Place, to: string, overwrite: boolean) =>
  Effect.gen(function*() {
    yield* mustBePath(to)
    const source = typeof from === "string" ? yield* mustExist(operation, from) : undefined
    const target = yield* Effect.option(attempt(operation, () => statOf(to)))
    if (Option.isNone(target)) {
      const link = yield* Effect.option(attempt(operation, () => fs.lstat(to)))
      if (Option.isSome(link) && link.value.isSymbolicLink()) {
        return yield* refuse(operation, `${to} is a symbolic link to a missing file; name that file`)
      }
      return true
    }
    const { dev, ino } = target.value
    if (target.value.isDirectory()) return yield* refuse(operation, `${to} is a directory`)
    if (dev === source?.dev && ino === source.ino) {
      return yield* refuse(operation, `${String(from)} and ${to} are the same file`)
    }
    if (!overwrite) return yield* new FileExists({ filename: to })
    return false
  })

/** Creates an empty file that only its user may read, unless there is a file, and returns whether it did. */
const created = (operation: string, filename: string) =>
  attempt(operation, async () => {
    const file = await fs.open(filename, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error
    })
    await file?.close()
    return file !== undefined
  })

/**
 * Creates a file and restores into it. Fails if another program has created it meanwhile and it may not be overwritten.
 */
const intoNewFile = <E>(to: string, overwrite: boolean, restored: Effect.Effect<void, E>) =>
  Effect.acquireUseRelease(
    created("restore", to),
    (isMade): Effect.Effect<void, E | FileExists> => isMade || overwrite ? restored : new FileExists({ filename: to }),
    // If it cannot be removed, the restore still fails with the reason why it failed.
    (isMade, exit) =>
      isMade && Exit.isFailure(exit)
        ? Effect.ignore(attempt("restore", () => fs.rm(to, { force: true })))
        : Effect.void
  )

/**
 * Creates a temporary file that other users cannot read, in a directory of its own, and returns its name. The scope
 * removes the directory. An interrupted check of the file may still be opening it on its thread, and create a log while
 * the directory is removed.
 */
const temporaryCopy = (operation: string, to: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.zipRight(
        Effect.mapError(
          attempt(operation, () => fs.access(path.dirname(path.resolve(to)))),
          () => refuse(operation, `there is no directory ${path.dirname(to)}`)
        ),
        attempt(operation, () => fs.mkdtemp(`${path.resolve(to)}.${operation}-`))
      ),
      (directory) =>
        Effect.catchAll(
          attempt(operation, () => fs.rm(directory, { recursive: true, force: true, maxRetries: 10 })),
          (error) => Effect.logWarning(`${directory} cannot be removed; remove it, as it may hold wallet URLs`, error)
        )
    ),
    (directory) => path.join(directory, path.basename(to))
  ).pipe(Effect.tap((copy) => created(operation, copy)))

/** Fails if the file is empty, or shorter than the database that the driver finds under its name. */
const mustBeComplete = (operation: string, copy: string) =>
  Effect.gen(function*() {
    const expected = yield* Effect.mapError((yield* copies).sizeOf(copy), toStorageError(sqlite, operation))
    const { size } = yield* attempt(operation, () => fs.stat(copy))
    if (size === 0 || size < expected) {
      const cause = new Error(`the copy has ${size} bytes instead of ${expected}`)
      return yield* new StorageError({ reason: "corrupt", operation, cause })
    }
  })

/**
 * Renames a copy to its final name, durably. The write-ahead log of the replaced file is removed first: SQLite would
 * apply it to the copy. If that is interrupted, the replaced file has everything that was in its log.
 */
const putInPlace = (operation: string, copy: string, to: string) =>
  Effect.uninterruptible(
    Effect.gen(function*() {
      const directory = path.dirname(path.resolve(to))
      yield* attempt(operation, () => sync(copy, "r+"))
      yield* mustBeComplete(operation, copy)
      yield* (yield* copies).applyLog(to)
      yield* attempt(operation, async () => {
        for (const suffix of ["-wal", "-shm", "-journal"]) await fs.rm(`${to}${suffix}`, { force: true })
        await sync(directory, "r")
        await fs.rename(copy, to)
        await sync(directory, "r")
      })
    })
  )

/** A process that writes without a pause leaves little time between its transactions. */
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

const retryWhileBusy = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(effect, { while: (error) => error === busy, schedule: whileWritten })

/** Gives the copy the page size of the database that it replaces, which keeps its own. */
const adoptPageSize = (copy: string, to: string) =>
  Effect.gen(function*() {
    const { pageSizeOf, rewrite } = yield* pageSizes
    const ofTarget = yield* pageSizeOf(to).pipe(
      Effect.mapError((error) => toStorageError(sqlite, "restore")(error).reason === "busy" ? busy : error),
      retryWhileBusy
    )
    if (ofTarget === undefined || ofTarget === (yield* pageSizeOf(copy))) return
    const rewritten = `${copy}.rewritten`
    yield* created("restore", rewritten)
    yield* rewrite({ filename: copy, to: rewritten, pageSize: ofTarget })
    yield* attempt("restore", () => fs.rename(rewritten, copy))
  })

/** Writes a copy into a file in one transaction. A file that is too damaged for one is replaced. */
const restoreInPlace = (copy: string, to: string, onStep: OnStep | undefined) =>
  Effect.scoped(Effect.gen(function*() {
    yield* adoptPageSize(copy, to)
    const database = yield* (yield* copies).connect(copy)
    const pages = copyPages(database, to, (done, total) => onStep?.("restoring", done, total))
    yield* retryWhileBusy(Effect.filterOrFail(pages, (count) => count > 0, () => busy))
    // The driver does not sync the log to disk.
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
