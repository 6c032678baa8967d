/** Who commits the units that wait: all that wait together, in the order in which they came. */
import {
  type IdempotencyConflict,
  isTraced,
  type RecordedEvent,
  type Refusal,
  type StorageError,
  type Unit
} from "@caravel/domain"
import { Background } from "@caravel/pubsub"
import { Cause, Effect, Exit, type Fiber, FiberId, type Scope } from "effect"
import * as GiveWay from "../statement/EventLoop.js"
import type { Restore } from "../statement/Turns.js"
import * as Append from "./Append.js"
import { Entry } from "./Entry.js"

/** How many commands are committed together at most, but for a unit of more: it is committed alone. */
const batchCommands = 256

/** How many characters of commands are committed together at most, with the same exception. */
const batchCharacters = 1_000_000

/**
 * A queue of units, and the fibers that commit them. It has no bound of its own: whoever is in it waits, as he would before it.
 */
export interface GroupCommit {
  /** How many units wait to be taken. */
  readonly waiting: () => number
  /** Waits for a unit's answer. A caller who is interrupted has either prevented it or waits until it is decided. */
  readonly execute: (
    unit: Unit
  ) => Effect.Effect<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict | StorageError>
}

/**
 * Commits a batch, of which entries may be withdrawn until they are decided. It runs uninterruptibly; where it waits and nothing is
 * decided, `restore` lets it be interrupted.
 */
export type Commit = (entries: ReadonlyArray<Entry>, restore: Restore) => Effect.Effect<void>

/**
 * Commits never overlap. Where nobody commits, a caller does, for himself and whoever comes while all other fibers have a
 * turn; what waits after that is left to a fiber of the scope, so that no caller works for others for long. It could do all, but
 * a lone command would go to it and come back: 15 µs of 119. Where a commit may wait for a server's answer before it decides,
 * callers do not lead: they could not leave then. What has been decided is committed before the scope closes; what waits is
 * interrupted.
 */
export const make = (
  commit: Commit,
  callersLead = true
): Effect.Effect<GroupCommit, never, Scope.Scope> =>
  Effect.gen(function*() {
    // An entry leaves this set when it is taken, to be answered or put back, its caller withdraws it, or the scope closes.
    const waiting = new Set<Entry>()
    /** Whether somebody commits or is about to. While nobody does, nothing waits. */
    let isLed = false
    let isClosed = false
    const noCallerLeads = yield* Effect.makeLatch(true)
    const writerLeads = yield* Effect.makeLatch()
    const giveWay = yield* GiveWay.make
    const layer = yield* Effect.withFiberRuntime<Fiber.RuntimeFiber<unknown, unknown>>((fiber) => Effect.succeed(fiber))
    const { currentDefaultServices, currentScheduler } = layer
    const isLayerTraced = isTraced(layer)
    // Others' commands run by no clock and no scheduler but the layer's. A batch's span has those of its commands for links, and
    // none for its parent: it is not made in a caller's fiber.
    const mayLead = (caller: Fiber.RuntimeFiber<unknown, unknown>) =>
      callersLead && !isLayerTraced && caller.currentDefaultServices === currentDefaultServices &&
      caller.currentScheduler === currentScheduler

    const putBack = (batch: ReadonlyArray<Entry>) => {
      const later = [...waiting]
      waiting.clear()
      for (const entry of batch) {
        if (isClosed) entry.settle(closed)
        else if (entry.isOpen) waiting.add(entry)
      }
      for (const entry of later) waiting.add(entry)
    }

    const commitNext = (restore: Restore) =>
      Effect.suspend(() => {
        const batch = takeBatch(waiting)
        if (batch.length === 0) return Effect.void
        return Effect.matchCauseEffect(commit(batch, restore), {
          onFailure: (cause) => {
            if (Cause.isInterruptedOnly(cause)) {
              putBack(batch)
              return Effect.failCause(cause)
            }
            for (const entry of batch) entry.settle(Exit.failCause(cause))
            return Effect.void
          },
          onSuccess: () => Effect.void
        })
      })

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        for (const entry of waiting) entry.settle(closed)
        waiting.clear()
        return noCallerLeads.await
      })
    )

    const leadWriter = () => {
      isLed = true
      writerLeads.unsafeOpen()
    }

    const writing = writerLeads.await.pipe(
      Effect.zipRight(Effect.whileLoop({
        // In one step, as whoever comes after it leads.
        while: () => {
          isLed = waiting.size > 0
          if (!isLed) writerLeads.unsafeClose()
          return isLed
        },
        body: () => Effect.zipRight(giveWay, Effect.uninterruptibleMask(commitNext)),
        step: () => {}
      })),
      Effect.forever
    )
    yield* Background.run("The writer of commands", writing)

    const handOver = () => {
      isLed = false
      if (waiting.size > 0) leadWriter()
      noCallerLeads.unsafeOpen()
    }

    const lead = (entry: Entry, restore: Restore) => {
      isLed = true
      noCallerLeads.unsafeClose()
      return Effect.matchCauseEffect(Effect.zipRight(restore(giveWay), commitNext(restore)), {
        onFailure: (cause) => {
          waiting.delete(entry)
          handOver()
          return Effect.failCause(cause)
        },
        onSuccess: () => {
          handOver()
          return entry.settled
        }
      })
    }

    const follow = (entry: Entry, restore: Restore) =>
      restore(entry.settled).pipe(
        Effect.onInterrupt(() => {
          if (!entry.withdraw()) return Effect.exit(entry.settled)
          waiting.delete(entry)
          return Effect.void
        })
      )

    return {
      waiting: () => waiting.size,
      execute: (unit) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiberRuntime((caller) => {
            if (isClosed) return closed
            const entry = new Entry(unit, caller.currentSpan)
            waiting.add(entry)
            if (isLed) return follow(entry, restore)
            if (mayLead(caller)) return lead(entry, restore)
            leadWriter()
            return follow(entry, restore)
          })
        )
    }
  })

const closed = Exit.interrupt(FiberId.none)

/** Takes what waits, from the first on, as far as it is committed together. */
const takeBatch = (waiting: Set<Entry>): ReadonlyArray<Entry> => {
  const batch: Array<Entry> = []
  let commands = 0
  let characters = 0
  for (const entry of waiting) {
    commands += entry.unit.commands.length
    characters += Append.characters(entry.unit)
    if (batch.length > 0 && (commands > batchCommands || characters > batchCharacters)) break
    waiting.delete(entry)
    batch.push(entry)
  }
  return batch
}
