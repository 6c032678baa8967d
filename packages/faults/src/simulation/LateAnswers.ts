/**
 * Consumers in memory whose storage answers late, as a server does: a call takes effect, and is answered, some time after
 * it was made. What other fibers do meanwhile must make no difference.
 */
import type { ConsumerStore } from "@caravel/pubsub"
import { Effect, Option, Record as Rec } from "effect"
import type { History } from "./History.js"
import { Prng } from "./Prng.js"

type Store = ConsumerStore.ConsumerStore["Type"]

/** In milliseconds. All leases last much longer. */
const delays = [0, 0, 1, 3, 8]

/** The parts of a store, whose calls can be replaced. */
const partsOf = ({ checkpoints, leases, parking }: Store) => ({ checkpoints, leases, parking })

/** Delays the answers of a store from now on, as the seed says. Returns the store as it was. */
export const delay = (store: Store, seed: number, history: History): Store => {
  const before: Store = { ...store, ...Rec.map(partsOf(store), (part) => ({ ...part })) as typeof store }
  const prng = new Prng(seed)
  const wait = Effect.suspend(() => {
    const millis = prng.pick(delays)
    return millis === 0 ? Effect.yieldNow() : Effect.sleep(millis)
  })
  const late = (call: Effect.Effect<unknown>) => Effect.zipLeft(Effect.zipRight(wait, call), wait)
  for (const part of Object.values(partsOf(store))) {
    const calls = part as unknown as Record<string, Effect.Effect<unknown> | ((...all: Array<any>) => any)>
    Object.assign(
      part,
      Rec.map(calls, (call) => Effect.isEffect(call) ? late(call) : (...all: Array<any>) => late(call(...all)))
    )
  }
  Object.assign(store, {
    transaction: (effect: Effect.Effect<unknown>) => Effect.zipLeft(before.transaction(effect), wait)
  })
  watchMoves(store, before, history)
  return before
}

/** Only the owner of the lease moves the checkpoint, so it is where the owner knows it to be. */
const watchMoves = ({ checkpoints }: Store, { leases }: Store, history: History): void => {
  const { move } = checkpoints
  const watched: typeof move = (lease, from, to) =>
    Effect.tapErrorTag(
      move(lease, from, to),
      "LeaseLost",
      () =>
        Effect.map(leases.holding(lease.consumer, "run"), (holding) => {
          if (Option.exists(holding, ({ fence, owner }) => fence === lease.fence && owner !== null)) {
            history.report(`${lease.consumer} moves its checkpoint from ${from} to ${to}, but it is not there`)
          }
        })
    )
  Object.assign(checkpoints, { move: watched })
}
