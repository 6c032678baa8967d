import { StorageError, type StorageErrorReason } from "@caravel/domain"
import { Effect, Option } from "effect"
import { realpathSync } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"

/**
 * Magic numbers of network file systems in `statfs(2)`. They lack the memory shared by all processes that WAL needs.
 */
const networkFileSystems = new Map<number, string>([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xfe534d42, "SMB"],
  [0xff534d42, "CIFS"],
  [0x01021997, "9p"],
  [0x5346414f, "AFS"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"]
])

const reasons: { readonly [code: string]: StorageErrorReason } = {
  EACCES: "readonly",
  EPERM: "readonly",
  EROFS: "readonly",
  ENOSPC: "full",
  EDQUOT: "full"
}

/** Runs an operation on files. Fails with a `StorageError` that has the system's reason. */
export const attempt = <A>(operation: string, promise: () => Promise<A>): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({
    try: promise,
    catch: (cause) => {
      const { code = "", message } = cause as NodeJS.ErrnoException
      return new StorageError({ reason: reasons[code] ?? "other", operation, cause: new Error(message, { cause }) })
    }
  })

/**
 * Writes a file's contents to the disk, or the names in a directory. They survive a power loss only then: a file that
 * was created or renamed needs its directory synced too.
 */
export const sync = async (path: string, flags: "r" | "r+"): Promise<void> => {
  const handle = await fs.open(path, flags)
  await handle.sync().finally(() => handle.close())
}

type Statfs = (path: string) => Promise<{ readonly type: number }>

/**
 * Creates missing parent directories, and fails with a clear reason if the file cannot be Caravel's database. The file
 * itself is not opened: closing it would make the system drop the locks of every connection to it in this process.
 */
export const prepare = (filename: string, statfs?: Statfs): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const operation = `opening ${filename}`
    yield* prepareDirectory(filename, statfs)
    const stat = yield* Effect.option(attempt(operation, () => fs.stat(filename)))
    if (Option.isSome(stat)) {
      if (stat.value.isDirectory()) return yield* refuse(operation, `${filename} is a directory`)
      yield* mustAllow(operation, filename, fs.constants.R_OK | fs.constants.W_OK)
    }
  })

const noFilename =
  "there is no filename: filename is not set; check whether the environment variable that it comes from is set"

/** Whether the name of a file is a URL. It may hold a password, so it must not be shown. */
export const isUrl = (filename: string): boolean => /^\s*["'`]?(?:file:|[a-z][a-z0-9+.-]+:\/\/)/i.test(filename)

/** Fails if the filename is not set, is a URL, or begins or ends with white space, which SQLite's driver would omit. */
export const mustBePath = (filename: string): Effect.Effect<void, StorageError> =>
  // Despite its type, the value is undefined if an environment variable is not set.
  typeof filename !== "string"
    ? refuse("opening the database", noFilename)
    : isUrl(filename)
    ? refuse("opening the database", "its filename is a URL; use Postgres.layer, or the path of a file")
    : filename.trim() !== filename
    ? refuse("opening the database", `its filename ${JSON.stringify(filename)} begins or ends with white space`)
    : Effect.void

/**
 * The absolute name of the file itself, if this is the name of a link to it: SQLite follows links, and keeps its other
 * files beside the file itself.
 */
export const realPath = (filename: string): Effect.Effect<string> =>
  Effect.orElseSucceed(Effect.try(() => realpathSync(filename)), () => path.resolve(filename))

/** Checks the directory of the file, and creates it if it is missing. */
export const prepareDirectory = (filename: string, statfs: Statfs = fs.statfs): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    yield* mustBePath(filename)
    const operation = `opening ${filename}`
    if (filename === "" || filename.includes(":memory:")) {
      const why = "a database in memory has one connection; use Memory.layer or Sqlite.layerTemporary"
      return yield* refuse(operation, why)
    }
    const directory = path.dirname(yield* realPath(filename))
    yield* attempt(operation, () => makeDirectory(directory))
    const network = networkFileSystems.get((yield* attempt(operation, () => statfs(directory))).type)
    if (network !== undefined) {
      const why = `${directory} is on a network file system (${network}); use a local disk`
      return yield* refuse(operation, why)
    }
    yield* mustAllow(operation, directory, fs.constants.W_OK)
  })

/** SQLite writes its log beside the file, also for a process that only reads. */
const mustAllow = (operation: string, path: string, mode: number) =>
  Effect.mapError(
    attempt(operation, () => fs.access(path, mode)),
    ({ cause, reason }) =>
      new StorageError({
        operation,
        reason,
        cause,
        ...(reason === "readonly" && {
          advice: "also to read, SQLite writes to the file and to its directory: allow it, or read a backup"
        })
      })
  )

const refuse = (operation: string, why: string) =>
  new StorageError({ reason: "other", operation, cause: new Error(why) })

/**
 * Like `mkdir -p`, and durable: SQLite syncs only the directory of its files. Node's own recursive `mkdir` never returns
 * if the system refuses to create directories, as in /proc.
 */
const makeDirectory = async (directory: string): Promise<void> => {
  const exists = await fs.access(directory).then(() => true, () => false)
  if (exists) return
  const parent = path.dirname(directory)
  await makeDirectory(parent)
  await fs.mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    // Another process has created it meanwhile.
    if (error.code !== "EEXIST") throw error
  })
  await sync(parent, "r")
}
