/** The last act of some programs: the database is restored from a backup while its processes go on. */
import { Position, type RecordedEvent, StorageError } from "@caravel/domain"
import { Backup } from "@caravel/sql"
import { Effect, Fiber, Schedule } from "effect"
import { Execution } from "./Execution.js"
import { History } from "./History.js"
import type { CommandData, RestorationData, Step } from "./Program.js"
import * as Reads from "./Reads.js"
import { type Parts, type Tagged, waitWhile } from "./Steps.js"
import type { Node } from "./World.js"

/** Fails if an effect does not end in time, and reports the problem. */
export type Within = <A, E>(problem: string, effect: Effect.Effect<A, E>) => Effect.Effect<A, E | Tagged>

/** What a restoration needs of the simulation around it. */
export interface Surroundings extends Parts {
  readonly execution: Execution
  /** A process that has not opened the database yet. */
  readonly newcomer: Node
  readonly within: Within
}

/** The reason of a storage error, if the error is one. */
const reasonOf = (error: unknown) => error instanceof StorageError ? error.reason : undefined

const sent = (node: number, command: CommandData): Step => ({ _tag: "Submit", node, commands: [command] })

/**
 * Makes a backup, lets callers go on, and restores the backup. The processes that have the database open end, and write
 * nothing into the restored one. A new process continues where the backup ended.
 */
export const restoration = (
  { millis, more, callers }: RestorationData,
  events: ReadonlyArray<RecordedEvent>,
  { within, newcomer, execution, ...parts }: Surroundings
): Effect.Effect<void, Tagged> =>
  Effect.gen(function*() {
    const { history, nodes, observer } = parts
    const to = parts.filename!
    const from = `${to}.backup`
    // Nothing of the program before is open any more.
    for (const node of nodes) yield* Effect.zipRight(node.close, execution.open(node))
    yield* execution.onHost(Backup.backup({ from: to, to: from, overwrite: true }))

    const later = new History()
    later.isRestored = true
    // What was committed may be gone when it is answered.
    const old = new Execution({ ...parts, history: later, observer: { ...observer, has: () => true }, mark: "old " })
    const running = yield* Effect.forEach(callers, (steps) => Effect.forkDaemon(old.caller(steps)))
    yield* Effect.sleep(millis)
    const restored = Effect.retry(execution.onHost(Backup.restore({ from, to, overwrite: true })), {
      schedule: Schedule.spaced(500),
      // A transaction that is open holds the lock while the clock stands still.
      while: (error) => reasonOf(error) === "busy"
    })
    const copied = yield* within("the database cannot be restored", restored)
    if (copied.position !== events.length) {
      history.report(`the restored journal ends at ${copied.position} instead of ${events.length}`)
    }

    const fresh = new History()
    const starting = new Execution({ ...parts, nodes: [newcomer], history: fresh, mark: "new " })
    yield* within("the restored database does not open", starting.open(newcomer))
    for (let count = 0; count < more; count++) {
      const command = { _tag: "CreateTenant", pubkey: count.toString(16).padStart(2, "0").repeat(32) }
      yield* within("a command after the restore is never answered", starting.caller([sent(0, command)]))
    }
    for (const { error, outcome } of fresh.submissions) {
      if (outcome !== "acknowledged") history.report(`a command after the restore was ${outcome}: ${String(error)}`)
    }

    for (const { process } of nodes) process.suspended = false
    for (const [index] of nodes.entries()) {
      const before = later.submissions.length
      const command = { _tag: "CreateTenant", pubkey: `e${index}`.repeat(32) }
      yield* within("a command to a restored database is never answered", old.caller([sent(index, command)]))
      const refused = later.submissions.slice(before).find(({ commands }) => commands[0] === command)
      if (reasonOf(refused?.error) !== "replaced") {
        history.report(
          `a process wrote to the database that was restored: ${refused?.outcome} ${String(refused?.error)}`
        )
      }
    }
    yield* within("a caller still waits after the restore", Fiber.awaitAll(running))
    yield* waitWhile(() => later.readers.some(({ isOpen }) => isOpen))
    yield* starting.verify(newcomer.services!)
    const now = yield* newcomer.services!.journal.read(Position.make(0), Number.MAX_SAFE_INTEGER)
    checkJournal(events, now, history)
    yield* Reads.check([newcomer.services!], now, history)
    checkLater(later, now.slice(events.length), parts)
    for (const problem of [...later.problems, ...fresh.problems]) history.report(`after the restore: ${problem}`)
    yield* newcomer.close
  })

/** The restored journal has what the backup had, and then what its new process has written. */
const checkJournal = (
  before: ReadonlyArray<RecordedEvent>,
  now: ReadonlyArray<RecordedEvent>,
  history: History
): void => {
  for (const [index, { id }] of before.entries()) {
    if (now[index]?.id !== id) history.report(`position ${index + 1} is another event after the restore`)
  }
  const foreign = now.slice(before.length).find(({ metadata }) => !metadata.correlationId?.startsWith("new "))
  if (foreign !== undefined) {
    history.report(`${foreign.metadata.correlationId} is at position ${foreign.position} of the restored journal`)
  }
}

/** The processes that had the database open took no part in what was written after the restore. */
const checkLater = (
  { notes, readers, submissions }: History,
  written: ReadonlyArray<RecordedEvent>,
  { history, observer }: Parts
): void => {
  const ids = new Set(written.map(({ id }) => id))
  for (const { isOpen, name, seen } of readers) {
    if (isOpen) history.report(`${name} has not noticed the restore`)
    if (seen.some(({ id }) => ids.has(id))) history.report(`${name} received an activity of the restored journal`)
  }
  const kept = new Set(observer.notes())
  for (const { text } of notes) if (kept.has(text)) history.report(`${text} is in the restored database`)
  // A command may be lost by the restore, but is answered.
  for (const { commands, error, mark, outcome, transaction } of submissions) {
    const about = `${mark} (${commands.map(({ _tag }) => _tag).join(", ")})`
    if (outcome === "died") history.report(`${about} died: ${String(error)}\n${(error as Error).stack ?? ""}`)
    if (outcome === "pending" && transaction === undefined) history.report(`${about} was never answered`)
  }
}
