/** Calls on files that fail: a full disk, one that is read-only or damaged, and files that may not be used. */
import { type Activity, Command, Journal, Query, Secrets, StorageError } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Backup, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { Cause, Context, Effect, Exit, Layer, Logger, LogLevel, Option, Schedule } from "effect"
import type { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { constants } from "node:os"
import { dirname, join } from "node:path"
import * as Control from "../interposer/Control.js"
import type { CallKind } from "../interposer/Layout.js"
import { create, mustBeSound, mustWork, pubkey, withDatabase } from "../operations/Databases.js"
import { copyOpen } from "../operations/OpenFiles.js"
import { attempt, type Case, CaseFailed, fail } from "./Case.js"

/** What the report counts: the cases, and those in which a call failed. */
export const group = "failing calls"
export const occurred = "failing calls that occurred"

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

// As `create` writes it.
const createdUrl = "nostr+walletconnect://created"

const suffixes = ["", "caravel.db", "-wal"]

/** What is done while calls fail, from the plan on until the cause is gone. */
interface Trial {
  readonly directory: string
  readonly control: string
  readonly plan: Control.Plan
  /** Is called once the cause is gone, with the number of calls that the plan counts. */
  readonly onEnd: (calls: number) => void
}

const asCase = <A, E>(tried: Effect.Effect<A, E>) =>
  tried.pipe(
    Effect.mapError((error) => error instanceof CaseFailed ? error : new CaseFailed({ cause: error })),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

const begin = ({ control, plan }: Trial) => Effect.sync(() => Control.plan(control, plan))

/** The cause is gone. */
const end = ({ control, onEnd }: Trial) =>
  Effect.sync(() => {
    const calls = Control.calls(control)
    Control.plan(control, { action: "none" })
    onEnd(calls)
  })

/**
 * Cases with calls that fail once, some times or until the cause is gone. The first one is among those of a trial in
 * which none fails, which runs in an empty directory.
 */
export const prepare = (directory: string, control: string, random: PCGRandom, count: number) =>
  Effect.gen(function*() {
    const counted = new Map<string, number>()
    const callsOf = (kinds: ReadonlyArray<CallKind>, suffix: string, isOpening: boolean) =>
      Effect.gen(function*() {
        const key = [isOpening, suffix, ...kinds].join()
        if (!counted.has(key)) {
          const place = join(directory, String(counted.size))
          fs.mkdirSync(place)
          const plan: Control.Plan = { action: "none", kinds, suffix }
          const onEnd = (calls: number) => void counted.set(key, calls)
          yield* (isOpening ? opening : using)({ directory: place, control, plan, onEnd })
        }
        return counted.get(key) ?? 0
      })
    const cases: Array<Case> = []
    for (let n = 0; n < count; n++) {
      const { error, kinds } = errors[n % errors.length]!
      const isOpening = random.integer(4) === 0
      const wanted = suffixes[random.integer(suffixes.length)]!
      // Some kinds of calls are made on other files only.
      const suffix = (yield* callsOf(kinds, wanted, isOpening)) > 0 ? wanted : ""
      const calls = yield* callsOf(kinds, suffix, isOpening)
      if (calls === 0) return yield* fail(`there is no ${kinds.join(" or ")} to fail`)
      const first = random.integer(4) === 0 ? 1 : 1 + random.integer(calls)
      const times = [1, 3, Number.MAX_SAFE_INTEGER][random.integer(3)]!
      const last = Math.min(first + times - 1, Number.MAX_SAFE_INTEGER)
      const plan: Control.Plan = { action: "fail", error: constants.errno[error], kinds, suffix, first, last }
      const often = times === Number.MAX_SAFE_INTEGER ? "until the cause is gone" : `${times} times`
      const files = suffix === "" ? "any file" : `*${suffix}`
      cases.push({
        group,
        name: `${error} at ${kinds.join(", ")} of ${files}, from call ${first} of ${calls}, ${often}${
          isOpening ? ", from opening to closing" : ""
        }`,
        run: ({ control, count, directory }) => {
          const onEnd = (calls: number) => calls < first ? undefined : count(occurred)
          return asCase((isOpening ? opening : using)({ directory, control, plan, onEnd }))
        }
      })
    }
    return cases
  }).pipe(asCase)

const filenameIn = (directory: string) => join(directory, "caravel.db")

/**
 * Opens a database, sends a command and closes it, which fails with a typed error or works, and opens it again once the
 * cause is gone.
 */
const opening = (trial: Trial) =>
  Effect.gen(function*() {
    const filename = filenameIn(trial.directory)
    yield* create(filename, 20)
    yield* begin(trial)
    const exit = yield* attempt(
      "opening, a command and closing",
      Effect.scoped(Effect.flatMap(
        Layer.build(Sqlite.layer({ filename })),
        (context) => Context.get(context, Command).createRelay({ id: "o", tenant: pubkey, subdomain: "o" })
      ))
    )
    yield* end(trial)
    yield* withDatabase(
      filename,
      mustBeSound.pipe(Effect.zipRight(mustMatch([answerOf("o", exit)])), Effect.zipRight(mustWork))
    )
  })

const consumer = { name: "consumer", from: "beginning", transactional: true, leaseDuration: "200 millis" } as const

/** Uses an open database, and goes on with it once the cause is gone. */
const using = (trial: Trial) =>
  Effect.gen(function*() {
    const filename = filenameIn(trial.directory)
    yield* create(filename, 20)
    const answers = yield* Effect.scoped(Effect.gen(function*() {
      const context = yield* Layer.build(consuming(filename))
      const answers = yield* Effect.provide(underFailure(trial), context)
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

/** The answer to a command that creates a relay. */
const answerOf = (id: string, exit: Exit.Exit<unknown, { readonly _tag: string }>): Answer => {
  if (Exit.isSuccess(exit)) return { id, outcome: "accepted" }
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  const isUnknown = error instanceof StorageError && error.reason === "commitUnknown"
  return { id, outcome: isUnknown ? "unknown" : "refused" }
}

/** Commands and queries, and then what else writes to the files, while calls fail. */
const underFailure = (trial: Trial) =>
  Effect.gen(function*() {
    const command = yield* Command
    const query = yield* Query
    const filename = filenameIn(trial.directory)
    yield* begin(trial)
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
          return answerOf(id, exit)
        }),
      { concurrency: 2 }
    )
    const backup = `${filename}.backup`
    const sql = yield* SqlClient
    yield* attempt("a checkpoint", sql`PRAGMA wal_checkpoint(TRUNCATE)`)
    const backedUp = yield* attempt("a backup", Backup.backup({ from: filename, to: backup }))
    const erased = yield* attempt("an erasure", (yield* Secrets).eraseTenantSecrets({ pubkey }))
    yield* end(trial)
    // What another process would find if this one were killed now.
    const copy = filenameIn(join(trial.directory, "killed"))
    fs.mkdirSync(dirname(copy))
    copyOpen(filename, copy)
    if (Exit.isSuccess(erased)) yield* mustNotContain([copy, `${copy}-wal`], createdUrl)
    yield* withDatabase(copy, Effect.zipRight(mustBeSound, mustMatch(answers)))
    if (Exit.isSuccess(backedUp)) yield* withDatabase(backup, Effect.zipRight(mustBeSound, mustMatch(answers)))
    yield* mustMatch(answers)
    return answers
  })

const mustNotContain = (filenames: ReadonlyArray<string>, text: string) =>
  Effect.suspend(() => {
    const found = filenames.filter((filename) => fs.existsSync(filename) && fs.readFileSync(filename).includes(text))
    return found.length === 0 ? Effect.void : fail(`erased, and found in ${found.join()}`)
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
