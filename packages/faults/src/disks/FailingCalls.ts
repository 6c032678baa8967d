/** Calls on files that fail: a full disk, one that is read-only or damaged, and files that may not be used. */
import { type Activity, Command, Journal, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Exit, Layer, Logger, LogLevel, Schedule } from "effect"
import type { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import * as Control from "../interposer/Control.js"
import type { CallKind } from "../interposer/Layout.js"
import { create, mustBeSound, mustWork, pubkey, withDatabase } from "../operations/Databases.js"
import { copyOpen } from "../operations/OpenFiles.js"
import { attempt, type Case, CaseFailed, fail } from "./Case.js"

const errors: ReadonlyArray<{ readonly error: keyof typeof constants.errno; readonly kinds: ReadonlyArray<CallKind> }> =
  [
    { error: "ENOSPC", kinds: ["open", "write", "truncate", "mkdir"] },
    { error: "EDQUOT", kinds: ["write"] },
    { error: "EROFS", kinds: ["open", "write", "truncate", "unlink", "rename"] },
    { error: "EACCES", kinds: ["open", "unlink"] },
    { error: "EIO", kinds: ["write"] },
    { error: "EIO", kinds: ["sync"] },
    { error: "EIO", kinds: ["read"] },
    { error: "EIO", kinds: ["truncate", "unlink"] }
  ]

const suffixes = ["", "caravel.db", "-wal"]

/** Cases with calls that fail once, some times or until the cause is gone. */
export const cases = (random: PCGRandom, count: number): ReadonlyArray<Case> =>
  Array.from({ length: count }, (_, n): Case => {
    const { error, kinds } = errors[n % errors.length]!
    const suffix = suffixes[random.integer(suffixes.length)]!
    const first = random.integer(4) === 0 ? 1 : 1 + random.integer(40)
    const times = [1, 3, Number.MAX_SAFE_INTEGER][random.integer(3)]!
    const isOpening = random.integer(4) === 0
    const plan: Control.Plan = {
      action: "fail",
      error: constants.errno[error],
      kinds,
      suffix,
      first,
      last: Math.min(first + times - 1, Number.MAX_SAFE_INTEGER)
    }
    const often = times === Number.MAX_SAFE_INTEGER ? "until the cause is gone" : `${times} times`
    return {
      group: "failing calls",
      name: `${error} at ${kinds.join(", ")} of ${
        suffix === "" ? "any file" : `*${suffix}`
      }, from call ${first}, ${often}${isOpening ? ", while it is opened" : ""}`,
      run: ({ control, directory }) => {
        Control.plan(control, { action: "none" })
        const filename = join(directory, "caravel.db")
        const tried = isOpening
          ? opening(filename, control, plan)
          : using(filename, directory, control, plan)
        return tried.pipe(
          Effect.mapError((error) => error instanceof CaseFailed ? error : new CaseFailed({ cause: error })),
          Logger.withMinimumLogLevel(LogLevel.None)
        )
      }
    }
  })

/** Opens a database, which fails with a typed error or works, and opens it again once the cause is gone. */
const opening = (filename: string, control: string, plan: Control.Plan) =>
  Effect.gen(function*() {
    yield* create(filename, 20)
    Control.plan(control, plan)
    yield* attempt("opening", Effect.scoped(Effect.asVoid(Layer.build(Sqlite.layer({ filename })))))
    Control.plan(control, { action: "none" })
    yield* withDatabase(filename, Effect.zipRight(mustBeSound, mustWork))
  })

const consumer = { name: "consumer", from: "beginning", transactional: true, leaseDuration: "200 millis" } as const

/** Uses an open database, and goes on with it once the cause is gone. */
const using = (filename: string, directory: string, control: string, plan: Control.Plan) =>
  Effect.gen(function*() {
    yield* create(filename, 20)
    const answers = yield* Effect.scoped(Effect.gen(function*() {
      const context = yield* Layer.build(consuming(filename))
      const answers = yield* Effect.provide(underFailure(filename, directory, control, plan), context)
      // A failure that was noticed before may still be on its way to the consumer, which is restarted.
      yield* Effect.provide(goesOn, context)
      return answers
    }))
    yield* withDatabase(
      filename,
      Effect.gen(function*() {
        yield* mustBeSound
        yield* mustMatch(answers)
        yield* mustBeHandledOnce
        yield* mustWork
      })
    )
  })

const handle = ({ position }: Activity) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO handled (position) VALUES (${position})`)

const consuming = (filename: string) => {
  const database = Sqlite.layer({ filename })
  const handling = Consumer.layer({ ...consumer, handle })
  const table = Layer.effectDiscard(
    Effect.flatMap(SqlClient, (sql) => sql`CREATE TABLE IF NOT EXISTS handled (position INTEGER NOT NULL)`)
  )
  return handling.pipe(Layer.provide(table), Layer.provideMerge(database))
}

interface Answer {
  readonly id: string
  readonly outcome: "accepted" | "refused" | "unknown"
}

/** Commands and queries while calls fail. */
const underFailure = (filename: string, directory: string, control: string, plan: Control.Plan) =>
  Effect.gen(function*() {
    const command = yield* Command
    const query = yield* Query
    Control.plan(control, plan)
    const answers = yield* Effect.forEach(
      Array.from({ length: 8 }, (_, n) => `f-${n}`),
      (id) =>
        Effect.gen(function*() {
          const exit = yield* attempt(
            "a command",
            command.createRelay({ id, tenant: pubkey, subdomain: id, infoDescription: id.repeat(2000) })
          )
          const relays = yield* attempt("a query", query.relays)
          if (Exit.isSuccess(relays) && relays.value.length < 20) {
            return yield* fail(`a query returns ${relays.value.length} of 20 relays`)
          }
          const isUnknown = Exit.isFailure(exit) && exit.cause._tag === "Fail" &&
            exit.cause.error._tag === "StorageError" && exit.cause.error.reason === "commitUnknown"
          return { id, outcome: Exit.isSuccess(exit) ? "accepted" : isUnknown ? "unknown" : "refused" } satisfies Answer
        }),
      { concurrency: 2 }
    )
    Control.plan(control, { action: "none" })
    // What another process would find if this one were killed now.
    const copy = join(directory, "killed")
    fs.mkdirSync(copy)
    copyOpen(filename, join(copy, "caravel.db"))
    yield* withDatabase(join(copy, "caravel.db"), Effect.zipRight(mustBeSound, mustMatch(answers)))
    yield* mustMatch(answers)
    return answers
  })

/** What was accepted is there, and what was refused is not. */
const mustMatch = (answers: ReadonlyArray<Answer>) =>
  Effect.gen(function*() {
    const ids = new Set<string>((yield* (yield* Query).relays).map(({ id }) => id))
    for (const { id, outcome } of answers) {
      if (outcome === "accepted" && !ids.has(id)) return yield* fail(`${id} was accepted, and is not there`)
      if (outcome === "refused" && ids.has(id)) return yield* fail(`${id} was refused, and is there`)
    }
  })

/**
 * The cause is gone: the same layer takes commands, and its consumer ends at the head. A read that fails is damage to
 * SQLite, and to a consumer a reason to end.
 */
const goesOn = Effect.gen(function*() {
  const command = yield* Command
  yield* command.setTenantPastDue(pubkey)
  const head = yield* (yield* Journal).head
  const atHead = Effect.timeoutFail(Consumer.awaitPosition(consumer.name, head), {
    duration: "20 seconds",
    onTimeout: () => fail("the consumer has not ended at the head after 20 seconds")
  })
  const ended = Effect.repeat(Consumer.ready, Schedule.spaced("50 millis"))
  yield* Effect.raceFirst(atHead, ended).pipe(
    Effect.catchIf((error) => error._tag === "StorageError" && error.reason === "corrupt", () => Effect.void)
  )
})

/** After another opening, each activity is handled once. */
const mustBeHandledOnce = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql`UPDATE caravel_lease SET owner = NULL`
  yield* Consumer.handleOnce({ ...consumer, handle })
  const positions = (yield* (yield* Query).activity()).map(({ position }) => position as number)
  const rows = yield* sql`SELECT position FROM handled ORDER BY rowid`.values
  const handled = rows.map(([position]) => Number(position))
  if (handled.join() !== positions.join()) {
    return yield* fail(`of ${positions.join()} the consumer has handled ${handled.join()}`)
  }
})
