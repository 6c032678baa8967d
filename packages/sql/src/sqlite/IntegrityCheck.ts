/** SQLite's own check of a file: its pages, its rows and its indexes. */
import type { StorageError } from "@caravel/domain"
import { SqlError } from "@effect/sql/SqlError"
import { Effect } from "effect"
import { createRequire } from "node:module"
import { Worker } from "node:worker_threads"
import { toStorageError } from "../database/StorageErrors.js"
import { sqlite } from "./SqliteDialect.js"

interface Answer {
  readonly found?: ReadonlyArray<string>
  readonly code?: string
  readonly message?: string
}

/** A check is one statement that takes seconds: on a thread of its own it does not block the event loop. */
const script = `
  const { parentPort, workerData } = require("node:worker_threads")
  const Sqlite = require(workerData)
  parentPort.on("message", ({ id, filename, most }) => {
    let database
    let answer
    try {
      database = new Sqlite(filename, { readonly: true, fileMustExist: true })
      const found = database.prepare("PRAGMA integrity_check(" + most + ")").pluck().all()
      answer = { id, found: found.map(String) }
    } catch ({ code, message }) {
      answer = { id, code, message }
    } finally {
      database?.close()
    }
    // The file is closed before the answer, whose recipient may want to lock it.
    parentPort.postMessage(answer)
  })
`

/** One worker for all checks of the process: starting it takes longer than checking a small file. */
let worker: Worker | undefined
let requests = 0
const pending = new Map<number, (answer: Answer) => void>()

const settle = (id: number, answer: Answer) => {
  pending.get(id)?.(answer)
  pending.delete(id)
  // An idle worker does not keep the process running.
  if (pending.size === 0) worker?.unref()
}

const start = (): Worker => {
  const started = new Worker(script, {
    eval: true,
    workerData: createRequire(import.meta.url).resolve("better-sqlite3")
  })
  const ended = (message: string) => {
    if (worker !== started) return
    worker = undefined
    for (const id of pending.keys()) settle(id, { message })
  }
  started.on("message", ({ id, ...answer }: Answer & { readonly id: number }) => settle(id, answer))
  started.on("error", ({ message }) => ended(message))
  started.on("exit", () => ended("the thread that checks files has ended"))
  return started
}

/** Returns what SQLite finds damaged in a file, at most `most` findings; none if the file is sound. */
export const check = (filename: string, most: number): Effect.Effect<ReadonlyArray<string>, StorageError> =>
  Effect.async<Answer>((resume) => {
    const id = requests++
    pending.set(id, (answer) => resume(Effect.succeed(answer)))
    worker ??= start()
    worker.ref()
    worker.postMessage({ id, filename, most })
    return Effect.sync(() => settle(id, {}))
  }).pipe(Effect.flatMap(({ code = "", found, message = "" }) =>
    found !== undefined
      ? Effect.succeed(found.length === 1 && found[0] === "ok" ? [] : found)
      : sqlite.reasonOf({ code, message }) === "corrupt"
      ? Effect.succeed([message])
      : Effect.fail(
        toStorageError(sqlite, "checking the file")(
          new SqlError({ message, cause: Object.assign(new Error(message), { code }) })
        )
      )
  ))
