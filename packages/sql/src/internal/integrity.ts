import { Effect } from "effect"
import { createRequire } from "node:module"
import { Worker } from "node:worker_threads"

/** It is one statement, and takes seconds: on a thread of its own, which keeps nobody waiting. */
const script = `
  const { parentPort, workerData: { driver, filename } } = require("node:worker_threads")
  const database = new (require(driver))(filename, { readonly: true })
  const found = database.pragma("integrity_check(1)", { simple: true })
  database.close()
  parentPort.postMessage(found)
`

/** What SQLite finds damaged in a file, if anything. */
export const damage = (filename: string): Effect.Effect<string | undefined> =>
  Effect.async((resume) => {
    const driver = createRequire(import.meta.url).resolve("better-sqlite3")
    const worker = new Worker(script, { eval: true, workerData: { driver, filename } })
    worker.on("message", (found: string) => resume(Effect.succeed(found === "ok" ? undefined : found)))
    worker.on("error", (error) => resume(Effect.succeed(error.message)))
    return Effect.promise(() => worker.terminate())
  })
