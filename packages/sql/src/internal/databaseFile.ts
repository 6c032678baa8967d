import { StorageError, type StorageErrorReason } from "@caravel/domain"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"

/** Magic numbers of `statfs(2)`: WAL needs memory that all processes share, which these cannot give. */
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

const header = "SQLite format 3\0"

/** Makes missing parent directories, and says clearly why a file cannot be Caravel's database before it is opened. */
export const prepare = (
  filename: string,
  statfs: (path: string) => Promise<{ readonly type: number }> = fs.statfs
): Effect.Effect<void, StorageError> => {
  const refuse = (reason: StorageErrorReason, why: string, cause?: unknown) =>
    new StorageError({ reason, operation: `opening ${filename}`, cause: new Error(why, { cause }) })
  const attempt = <A>(promise: () => Promise<A>) =>
    Effect.tryPromise({
      try: promise,
      catch: (cause) => {
        const { code, message } = cause as NodeJS.ErrnoException
        const forbidden = code === "EACCES" || code === "EPERM" || code === "EROFS"
        return refuse(forbidden ? "readonly" : "other", message, cause)
      }
    })

  return Effect.gen(function*() {
    if (filename === "" || filename.includes(":memory:")) {
      return yield* refuse(
        "other",
        "a database in memory has one connection; use Memory.layer or Sqlite.layerTemporary"
      )
    }
    const directory = path.dirname(path.resolve(filename))
    yield* attempt(() => makeDirectory(directory))
    const network = networkFileSystems.get((yield* attempt(() => statfs(directory))).type)
    if (network !== undefined) {
      return yield* refuse("other", `${directory} is on a network file system (${network}); use a local disk`)
    }
    // SQLite keeps its log beside the file, so the directory must be writable too.
    yield* attempt(() => fs.access(directory, fs.constants.W_OK))
    const exists = yield* Effect.isSuccess(attempt(() => fs.access(filename)))
    if (exists) {
      yield* attempt(() => fs.access(filename, fs.constants.R_OK | fs.constants.W_OK))
      const start = yield* attempt(() => firstBytes(filename))
      if (start !== "" && start !== header) return yield* refuse("corrupt", "it is not an SQLite database")
    }
  })
}

/** As `mkdir -p`. Node's own recursive `mkdir` never returns where the system refuses directories, as in /proc. */
const makeDirectory = async (directory: string): Promise<void> => {
  const exists = await fs.access(directory).then(() => true, () => false)
  if (exists) return
  await makeDirectory(path.dirname(directory))
  await fs.mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    // Another process that starts has made it meanwhile.
    if (error.code !== "EEXIST") throw error
  })
}

const firstBytes = async (filename: string) => {
  const file = await fs.open(filename)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(header.length), 0, header.length, 0)
    return buffer.toString("latin1", 0, bytesRead)
  } finally {
    await file.close()
  }
}
