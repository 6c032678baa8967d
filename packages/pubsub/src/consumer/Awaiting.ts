/** Waiting for what a consumer does, in this process or another one. */
import { checkPosition, type Journal } from "@caravel/domain"
import { Effect, Option } from "effect"
import { sleep } from "../runtime/Waiting.js"
import type { Tail } from "../tail/Tail.js"
import { ConsumerHalted } from "./ConsumerError.js"
import type { AwaitError } from "./ConsumerModel.js"
import type { Checkpoint, ConsumerStore } from "./ConsumerStore.js"
import { unlessOwn } from "./Handling.js"
import type { Local } from "./Local.js"
import { patiently } from "./Patiently.js"
import { decodeName } from "./Settings.js"

/** How often another process's checkpoint is looked at by who waits for it. */
const poll = "50 millis"

/** Completes once something about a consumer has changed, which only who runs it in this process can tell. */
export const change = (local: Local, changes: number): Effect.Effect<void> =>
  local.progress === undefined
    ? Effect.raceFirst(local.changed.beyond(changes), sleep(poll))
    : local.changed.beyond(changes)

/** Only a consumer that has halted leaves attempts behind and no owner. */
const haltedAt = (checkpoint: Checkpoint): Option.Option<ConsumerHalted> =>
  checkpoint.owner !== null || checkpoint.attempts === 0 || checkpoint.failedPosition === null
    ? Option.none()
    : Option.some(
      new ConsumerHalted({
        consumer: checkpoint.name,
        position: checkpoint.failedPosition,
        attempts: checkpoint.attempts,
        cause: checkpoint.lastError
      })
    )

export const awaiting = (
  { journal, store, tail }: {
    readonly store: typeof ConsumerStore.Service
    readonly journal: typeof Journal.Service
    readonly tail: typeof Tail.Service
  },
  localOf: (name: string) => Local
) =>
(
  name: string,
  awaited: number,
  { epoch }: { readonly epoch?: string | undefined } = {}
): Effect.Effect<void, AwaitError> =>
  Effect.flatMap(Effect.zipRight(decodeName(name), patiently(checkPosition(journal, awaited, epoch))), (position) => {
    const local = localOf(name)
    const reached: Effect.Effect<void, AwaitError> = Effect.gen(function*() {
      while (true) {
        const changes = local.changed.count
        const checkpoint = yield* patiently(Effect.zipLeft(store.checkpoints.find(name), tail.unchanged(position)))
        if (Option.exists(checkpoint, (checkpoint) => checkpoint.position >= position)) return
        yield* unlessOwn(name, local, ({ canReach }) => !canReach(position))
        const halted = Option.flatMap(checkpoint, haltedAt)
        // One that is run here waits for its turn, or has just got it.
        if (Option.isSome(halted) && local.runs === 0) return yield* halted.value
        local.progress?.check()
        yield* change(local, changes)
      }
    })
    return Effect.acquireUseRelease(
      // What has just been forked here begins first.
      Effect.as(Effect.yieldNow(), { position }),
      (waiting) => {
        local.awaited.add(waiting)
        return reached
      },
      (waiting) => Effect.sync(() => local.awaited.delete(waiting))
    )
  }).pipe(store.outside)
