/** The page sizes of SQLite files. SQLite's backup API cannot change the one of a database in WAL mode. */
import { SqlError } from "@effect/sql/SqlError"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { createRequire } from "node:module"
import { Worker } from "node:worker_threads"

/** Returns the size of a database's pages in bytes, or undefined if the file is empty. */
export const pageSizeOf = (filename: string): Effect.Effect<number | undefined, SqlError> =>
  Effect.try({
    try: () => {
      // A connection that only reads could not undo what a killed process had begun to write.
      const database = new Sqlite(filename, { fileMustExist: true, timeout: 0 })
      try {
        const isEmpty = database.pragma("page_count", { simple: true }) === 0
        return isEmpty ? undefined : Number(database.pragma("page_size", { simple: true }))
      } finally {
        database.close()
      }
    },
    catch: (cause) => new SqlError({ cause })
  })

/** This is one statement that takes seconds: on a thread of its own it does not block the event loop. */
const script = `
  const { parentPort, workerData } = require("node:worker_threads")
  const { driver, filename, pageSize, to } = workerData
  const Sqlite = require(driver)
  try {
    const database = new Sqlite(filename, { readonly: true, fileMustExist: true })
    try {
      database.pragma("page_size = " + pageSize)
      database.prepare("VACUUM INTO ?").run(to)
    } finally {
      database.close()
    }
  } catch ({ code, message }) {
    parentPort.postMessage({ code, message })
  }
`

/**
 * Writes a database to an empty file, in pages of another size. Unlike `VACUUM`, `VACUUM INTO` keeps the row ids of
 * tables that have no primary key.
 */
export const rewrite = (
  { filename, pageSize, to }: { readonly filename: string; readonly to: string; readonly pageSize: number }
): Effect.Effect<void, SqlError> =>
  Effect.async((resume) => {
    const driver = createRequire(import.meta.url).resolve("better-sqlite3")
    const worker = new Worker(script, { eval: true, workerData: { driver, filename, pageSize, to } })
    const failed = (cause: unknown) =>
      resume(new SqlError({ cause, message: `Failed to rewrite ${filename} in pages of ${pageSize} bytes` }))
    worker.on("message", ({ code, message }) => failed(Object.assign(new Error(message), { code })))
    worker.on("error", failed)
    worker.on("exit", (code) => code === 0 ? resume(Effect.void) : failed(new Error("its thread has ended")))
    // The statement itself cannot be interrupted.
    return Effect.promise(() => worker.terminate())
  })
