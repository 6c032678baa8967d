/**
 * Processes that are killed while they write.
 *
 * Each round starts a process that runs an operation, and kills it: at a random instant, or aimed at one of its calls on
 * the files. Aimed kills are between any two calls or within a write, and so inside COMMIT, between a commit and its
 * broadcast, and between a handler and its checkpoint. Then the files are opened, checked and used.
 */
import { ActivityFeed, Journal, Query } from "@caravel/domain"
import { Cause, Duration, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { PCGRandom } from "effect/Utils"
import type { ChildProcess } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Control from "../interposer/Control.js"
import * as Library from "../interposer/Library.js"
import type { Finding, Kind, Settings } from "../Kind.js"
import { must, withDatabase } from "../operations/Databases.js"
import { operations as allOperations } from "../operations/index.js"
import { filenameIn, load } from "../operations/Load.js"
import { acknowledgements, linesOf, type Operation } from "../operations/Operation.js"
import * as Process from "../operations/Process.js"
import { scratch } from "../operations/Scratch.js"

/** A killed process has written everything: only a power loss may lose what is acknowledged. */
const operations: typeof allOperations = { ...allOperations, normal: load("normal", false) }

const randomRounds = (long: boolean) => long ? 1000 : 3

/** The number of calls of an operation at which it is killed. */
const aimedRounds = (long: boolean) => long ? 30 : 1

/** The number of findings after which nothing more is tried. */
const mostFindings = 5

/** An operation that has run once without being killed. */
interface Prepared {
  readonly name: string
  readonly operation: Operation
  /** The files that it starts from. */
  readonly template: string
  /** The number of its calls. */
  readonly calls: number
}

type Kill =
  | { readonly _tag: "Random"; readonly afterCalls: number; readonly delay: number; readonly isWitnessed: boolean }
  | { readonly _tag: "Aimed"; readonly call: number; readonly isWithin: boolean }

interface Context {
  readonly settings: Settings
  readonly directory: string
  readonly library: string
  /** The number of rounds so far. */
  rounds: number
}

/** Runs an operation in a process, and kills it. Returns what does not hold then. */
const round = (context: Context, { name, operation, template }: Omit<Prepared, "calls">, kill: Kill | undefined) =>
  Effect.gen(function*() {
    const place = join(context.directory, `round-${context.rounds++}`)
    const [directory, control] = [join(place, "files"), join(place, "control")]
    fs.mkdirSync(place)
    fs.cpSync(template, directory, { recursive: true })
    Control.plan(
      control,
      kill?._tag === "Aimed"
        ? { action: kill.isWithin ? "killWithin" : "killAfter", first: kill.call, last: kill.call }
        : { action: "none" }
    )
    const child = Process.start({ operation: name, directory, library: context.library, control })
    const end = Effect.scoped(Effect.flatMap(child, (child) =>
      kill?._tag === "Random"
        ? Effect.zipRight(Effect.forkScoped(killLater(child, control, kill)), Process.outcome(child))
        : Process.outcome(child)))
    const isWitnessed = kill?._tag === "Random" && kill.isWitnessed
    const checked = Effect.gen(function*() {
      const outcome = yield* isWitnessed ? witnessed(directory, end) : end
      const acknowledged = linesOf(readIfThere(join(directory, acknowledgements)))
      fs.cpSync(directory, join(place, "kept"), { recursive: true })
      yield* operation.check(directory, acknowledged)
      return outcome
    })
    const exit = yield* Effect.exit(checked)
    if (Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)) return yield* Effect.interrupt
    const calls = Control.calls(control)
    const findings = Exit.isFailure(exit) ? [finding(context, operation, kill, exit.cause, place)] : []
    fs.rmSync(place, { recursive: true })
    return { findings, calls, isKilled: Exit.isSuccess(exit) && exit.value === "killed" }
  })

const readIfThere = (filename: string) => fs.existsSync(filename) ? fs.readFileSync(filename, "utf8") : ""

/** Kills a process some time after it has made some calls. */
const killLater = (child: ChildProcess, control: string, { afterCalls, delay }: Extract<Kill, { _tag: "Random" }>) =>
  Effect.gen(function*() {
    while (Control.calls(control) < afterCalls) yield* Effect.sleep("1 millis")
    yield* Effect.sleep(Duration.millis(delay))
    child.kill("SIGKILL")
  })

/** Follows the activity log from another process, which must see everything that is there in the end, once. */
const witnessed = <A, E>(directory: string, killed: Effect.Effect<A, E>) => {
  const filename = filenameIn(directory)
  fs.mkdirSync(dirname(filename), { recursive: true })
  return withDatabase(
    filename,
    Effect.gen(function*() {
      const seen: Array<number> = []
      const feed = yield* ActivityFeed
      const following = yield* Effect.fork(
        Stream.runForEach(feed.since(0), ({ position }) => Effect.sync(() => void seen.push(position)))
      )
      const result = yield* killed
      const head = yield* (yield* Journal).head
      const upToHead = Effect.suspend(() => seen.at(-1) === head || head === 0 ? Effect.void : Effect.fail("not yet"))
      yield* Effect.ignore(
        Effect.retry(upToHead, { schedule: Schedule.spaced("5 millis") }).pipe(Effect.timeout("10 seconds"))
      )
      yield* Fiber.interrupt(following)
      const positions = (yield* (yield* Query).activity()).map(({ position }) => position)
      yield* must(
        positions.join() === seen.join(),
        `another process has seen ${seen.join()} of ${positions.join()}, ten seconds after the kill`
      )
      return result
    })
  )
}

const finding = (
  { settings }: Context,
  operation: Operation,
  kill: Kill | undefined,
  cause: Cause.Cause<unknown>,
  place: string
): Finding => {
  const kept = fs.mkdtempSync(join(tmpdir(), "caravel-faults-kept-"))
  fs.cpSync(place, kept, { recursive: true })
  return {
    title: `${operation.title}: ${kill === undefined ? "without a kill" : "a kill"}`,
    details: [
      Cause.pretty(cause),
      `seed ${settings.seed}, kill: ${JSON.stringify(kill ?? null)}`,
      `The files are in ${kept}: those before the check in "kept", if it has begun.`
    ].join("\n")
  }
}

/** Runs an operation once to its end. */
const prepare = (context: Context, name: string, operation: Operation) =>
  Effect.gen(function*() {
    const template = join(context.directory, `template-${name}`)
    fs.mkdirSync(template)
    yield* operation.prepare(template)
    const { calls, findings } = yield* round(context, { name, operation, template }, undefined)
    return { name, operation, template, calls, findings }
  })

/** The kills of a run. The order of their random numbers does not depend on the numbers of calls, which vary. */
const killsOf = (prepared: ReadonlyArray<Prepared>, { long, seed }: Settings) => {
  const random = new PCGRandom(seed)
  const aimed = prepared.flatMap((prepared) => {
    const count = Math.min(aimedRounds(long), prepared.calls)
    const offset = random.number()
    return Array.from({ length: count }, (_, n) => ({
      prepared,
      kill: {
        _tag: "Aimed",
        call: 1 + Math.floor((n + offset) * prepared.calls / count),
        isWithin: random.integer(2) === 1
      } satisfies Kill
    }))
  })
  const loads = prepared.filter(({ name }) => name === "full" || name === "normal")
  const unaimed = Array.from({ length: randomRounds(long) }, (_, n) => {
    const isLoad = n % 2 === 0
    const among = isLoad ? loads : prepared
    const chosen = among[random.integer(among.length)]!
    return {
      prepared: chosen,
      kill: {
        _tag: "Random",
        afterCalls: Math.floor(random.number() * chosen.calls),
        delay: random.number() * 5,
        isWitnessed: isLoad && n % 4 === 0
      } satisfies Kill
    }
  })
  return [...aimed, ...unaimed]
}

const run = (settings: Settings) =>
  Effect.gen(function*() {
    const directory = yield* scratch(settings.directory)
    const context: Context = { settings, directory, library: yield* Library.compile(directory), rounds: 0 }
    const prepared = yield* Effect.forEach(
      Object.entries(operations),
      ([name, operation]) => prepare(context, name, operation),
      { concurrency: 2 }
    )
    const findings = prepared.flatMap(({ findings }) => findings)
    const tried = { operations: prepared.length, kills: 0, "processes that ended before": 0 }
    const kills = killsOf(prepared, settings)
    yield* settings.progress(`${kills.length} kills`)
    yield* Effect.forEach(kills, ({ kill, prepared }) =>
      Effect.gen(function*() {
        if (findings.length >= mostFindings) return
        const done = yield* round(context, prepared, kill)
        for (const finding of done.findings) findings.push(finding)
        tried[done.isKilled ? "kills" : "processes that ended before"]++
        if (tried.kills % 100 === 0) yield* settings.progress(`${tried.kills} of ${kills.length}`)
      }), { concurrency: 2, discard: true })
    return { tried, findings }
  })

export const crashes: Kind = {
  title: "crashes",
  description: "Processes are killed at random instants and at each of their calls on files; nothing is lost or twice",
  skipped: Library.skipped,
  run
}
