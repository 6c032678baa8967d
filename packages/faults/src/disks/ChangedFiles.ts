/** Files that are removed, moved, replaced or truncated, while the database is open or closed. */
import { Command, Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Effect, Exit, Layer, Logger, LogLevel } from "effect"
import type { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { join } from "node:path"
import { drifts } from "../Drifts.js"
import { create, mustWork, pubkey, withDatabase } from "../operations/Databases.js"
import { copyOpen } from "../operations/OpenFiles.js"
import { attempt, type Case, CaseFailed, fail } from "./Case.js"

/** A change, and what undoes its cause, if it can be undone. */
interface Change {
  readonly name: string
  readonly apply: (filename: string, random: PCGRandom) => void
  readonly undo?: (filename: string) => void
  /** Whether what was committed before can be lost, or only if the database is closed. */
  readonly loses?: boolean | "closed"
}

const changes: ReadonlyArray<Change> = [
  { name: "the database is removed", apply: (filename) => fs.rmSync(filename), loses: true },
  {
    name: "all files are removed",
    apply: (filename) => {
      for (const suffix of ["", "-wal", "-shm"]) fs.rmSync(`${filename}${suffix}`, { force: true })
    },
    loses: true
  },
  {
    name: "the database is moved, and moved back",
    apply: (filename) => fs.renameSync(filename, `${filename}.moved`),
    undo: (filename) => fs.renameSync(`${filename}.moved`, filename)
  },
  {
    name: "the database is replaced by another one, and put back",
    apply: (filename) => {
      fs.renameSync(filename, `${filename}.moved`)
      fs.copyFileSync(`${filename}.other`, filename)
    },
    undo: (filename) => fs.renameSync(`${filename}.moved`, filename),
    // The other database is opened with the log of this one, and SQLite empties it.
    loses: "closed"
  },
  {
    name: "the database is truncated",
    apply: (filename, random) => fs.truncateSync(filename, random.integer(fs.statSync(filename).size)),
    loses: true
  },
  {
    name: "the database is truncated to nothing",
    apply: (filename) => fs.truncateSync(filename, 0),
    loses: true
  },
  {
    name: "the log is truncated",
    apply: (filename, random) => {
      if (!fs.existsSync(`${filename}-wal`)) return
      fs.truncateSync(`${filename}-wal`, random.integer(fs.statSync(`${filename}-wal`).size + 1))
    },
    loses: true
  },
  { name: "the log is removed", apply: (filename) => fs.rmSync(`${filename}-wal`, { force: true }), loses: true },
  { name: "the index of the log is removed", apply: (filename) => fs.rmSync(`${filename}-shm`, { force: true }) },
  {
    name: "the log and its index are removed",
    apply: (filename) => {
      for (const suffix of ["-wal", "-shm"]) fs.rmSync(`${filename}${suffix}`, { force: true })
    },
    loses: true
  }
]

export const cases = (random: PCGRandom, count: number): ReadonlyArray<Case> =>
  Array.from({ length: count }, (_, n): Case => {
    const change = changes[Math.floor(n / 2) % changes.length]!
    const isOpen = n % 2 === 0
    return {
      group: "changed files",
      name: `${change.name} while the database is ${isOpen ? "open" : "closed"}`,
      run: ({ directory }) =>
        tryChange(join(directory, "caravel.db"), change, isOpen, random).pipe(
          Effect.mapError((error) => error instanceof CaseFailed ? error : new CaseFailed({ cause: error })),
          Logger.withMinimumLogLevel(LogLevel.None)
        )
    }
  })

const tryChange = (filename: string, change: Change, isOpen: boolean, random: PCGRandom) =>
  Effect.gen(function*() {
    yield* create(filename, 50)
    yield* create(`${filename}.other`, 3)
    if (isOpen) {
      const accepted = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(Sqlite.layer({ filename }))
        return yield* Effect.provide(whileOpen(filename, change, random), context)
      }))
      yield* afterwards(filename, { ...change, loses: change.loses === true }, accepted)
    } else {
      // A process that was killed leaves its log.
      const killed = `${filename}.killed`
      yield* withDatabase(
        filename,
        Effect.gen(function*() {
          yield* createRelay("k-0")
          yield* Effect.sync(() => copyOpen(filename, killed))
        })
      )
      for (const suffix of ["", "-wal"]) fs.renameSync(`${killed}${suffix}`, `${filename}${suffix}`)
      change.apply(filename, random)
      yield* attempt("opening", Effect.scoped(Effect.asVoid(Layer.build(Sqlite.layer({ filename, create: false })))))
      yield* afterwards(filename, { ...change, loses: change.loses !== undefined }, ["k-0"])
    }
  })

const createRelay = (id: string) =>
  Effect.flatMap(Command, (command) => command.createRelay({ id, tenant: pubkey, subdomain: id }))

/** Sends commands before and after the change, and returns those that were accepted. */
const whileOpen = (filename: string, change: Change, random: PCGRandom) =>
  Effect.gen(function*() {
    const accepted = ["b-0"]
    yield* createRelay("b-0")
    change.apply(filename, random)
    // A change is noticed within this time; see `SqliteFiles`.
    yield* Effect.sleep("150 millis")
    for (let n = 0; n < 4; n++) {
      const exit = yield* attempt("a command", createRelay(`a-${n}`))
      if (Exit.isSuccess(exit)) accepted.push(`a-${n}`)
      yield* attempt("a query", Effect.flatMap(Query, (query) => query.relays))
      yield* Effect.sleep("50 millis")
    }
    yield* attempt("verifying", drifts)
    return accepted
  })

/** Undoes the change and opens the database again: it is as it was, or damaged in a way that is reported. */
const afterwards = (filename: string, { loses, undo }: Change, accepted: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    undo?.(filename)
    const opened = yield* attempt(
      "opening",
      Effect.scoped(Effect.provide(
        Effect.gen(function*() {
          const differences = yield* attempt("verifying", drifts)
          const relays = yield* attempt("a query", Effect.flatMap(Query, (query) => query.relays))
          if (Exit.isFailure(differences) || Exit.isFailure(relays) || differences.value.length > 0) return undefined
          // What is sound must work: no failure of this is a refusal.
          yield* Effect.mapError(mustWork, (cause) => new CaseFailed({ cause }))
          return relays.value.map(({ id }): string => id)
        }),
        Sqlite.layer({ filename, synchronous: "normal" })
      ))
    )
    const ids = Exit.isSuccess(opened) ? opened.value : undefined
    if (ids === undefined) {
      return yield* loses === true ? Effect.void : fail("the database cannot be used although the cause is gone")
    }
    const isThere = (id: string) => ids.includes(id)
    const lost = accepted.filter((id) => !isThere(id))
    const lostAfterwards = lost.filter((id) => id.startsWith("a-"))
    if (lost.length > 0 && loses !== true) return yield* fail(`accepted and lost: ${lost.join()}`)
    if (lostAfterwards.length > 0) return yield* fail(`accepted after the change and lost: ${lostAfterwards.join()}`)
  })
