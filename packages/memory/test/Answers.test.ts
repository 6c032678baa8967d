/** Consumers whose storage answers late, or loses the answer to a COMMIT, as a server may. */
import { type Activity, Command, StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Memory } from "@caravel/memory"
import { Consumer, ConsumerStore, Waiting } from "@caravel/pubsub"
import { describe, expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, TestClock } from "effect"

type Store = typeof ConsumerStore.ConsumerStore.Service

const pubkey = "a".repeat(64)
const name = "c"
const from = "beginning"
const retry = Schedule.stop

/** Three relays and two more activities: the positions 1 to 6, of the tenant and of r0, r1, r2, r1, r0. */
const journal = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey })
  for (const id of ["r0", "r1", "r2"]) yield* command.createRelay({ id, tenant: pubkey, subdomain: id })
  for (const id of ["r1", "r0"]) yield* command.activateRelay({ id })
})

/** Replaces parts of the store that the consumers of the layer use. Returns what they replace. */
const replacing = (change: (store: Store) => Partial<Store>) =>
  Effect.map(ConsumerStore.ConsumerStore, (store) => {
    const before = { ...store }
    Object.assign(store, change(before))
    return before
  })

const until = (condition: () => boolean) => Effect.repeat(nextTurn, { until: condition })

/** The outermost transaction is done, but its answer is lost, once `isLost` holds. */
const losing = (isLost: () => boolean) =>
  replacing((store) => {
    let depth = 0
    return {
      transaction: (effect) =>
        Effect.suspend(() => {
          depth++
          return store.transaction(effect).pipe(
            Effect.ensuring(Effect.sync(() => depth--)),
            Effect.tap(() =>
              depth === 0 && isLost()
                ? new StorageError({ reason: "commitUnknown", operation: "commit", cause: "lost" })
                : Effect.void
            )
          )
        })
    }
  })

describe("several workers", () => {
  const workers = (handle: (activity: Activity) => Effect.Effect<void, string>) =>
    Consumer.run({ name, from, retry, onFailure: "parkResource", concurrency: 4, handle })

  it.scopedLive("the checkpoint passes no failed activity that is not parked with it", () =>
    Effect.gen(function*() {
      yield* journal
      const [reached, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const lost: Array<number> = []
      const bad = [2, 5]
      const { parking } = yield* replacing((store) => ({
        parking: {
          ...store.parking,
          park: (lease, activities) =>
            Effect.tap(
              store.parking.park(lease, activities),
              Effect.when(
                Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(answered)),
                () => activities.some(({ activity }) => activity.position === 6)
              )
            )
        },
        checkpoints: {
          ...store.checkpoints,
          move: (lease, before, to) =>
            Effect.zipRight(
              Effect.map(store.parking.list(name, 0 as never, 9), (parked) => {
                const isParked = new Set<number>(parked.map(({ activity }) => activity.position))
                for (const position of bad) if (position <= to && !isParked.has(position)) lost.push(position)
              }),
              store.checkpoints.move(lease, before, to)
            )
        }
      }))
      yield* Effect.fork(workers(({ position }) =>
        position === 2
          ? Effect.fail("no")
          : position === 5
          ? Effect.zipRight(Deferred.await(reached), Effect.fail("no"))
          : Effect.void
      ))
      yield* Deferred.await(reached)
      yield* Effect.repeatN(nextTurn, 5)
      yield* Deferred.succeed(answered, undefined)
      yield* Consumer.awaitPosition(name, 6)
      expect(lost).toEqual([])
      expect((yield* parking.list(name, 0 as never, 9)).map(({ activity }) => activity.position)).toEqual([2, 5, 6])
    }).pipe(Effect.provide(Memory.layer)))

  it.scopedLive("what they handle while a commit is answered neither loses the lease nor comes again", () =>
    Effect.gen(function*() {
      yield* journal
      const [reached, answered] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let isAnswered = false
      const { leases } = yield* replacing((store) => ({
        transaction: (effect) =>
          Effect.tap(
            store.transaction(effect),
            Effect.when(
              Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(answered)),
              () => !isAnswered
            )
          )
      }))
      const handled: Array<number> = []
      yield* Effect.fork(workers(({ position }) =>
        position === 2
          ? Effect.fail("no")
          : Effect.sync(() => void handled.push(position)).pipe(
            Effect.zipLeft(position === 5 ? Deferred.await(reached) : Effect.void)
          )
      ))
      yield* Deferred.await(reached)
      yield* until(() => handled.length === 4)
      yield* Effect.repeatN(nextTurn, 5)
      isAnswered = true
      yield* Deferred.succeed(answered, undefined)
      yield* Consumer.awaitPosition(name, 6)
      expect(handled.sort()).toEqual([1, 3, 4, 5])
      expect(yield* Effect.flatten(leases.holding(name, "run"))).toMatchObject({ fence: 1 })
    }).pipe(Effect.provide(Memory.layer)))
})

describe("a transaction whose COMMIT is not answered", () => {
  it.scopedLive("is not repeated if its last handler failed", () =>
    Effect.gen(function*() {
      yield* journal
      let failures = 0
      let losses = 0
      yield* losing(() => failures === 1 && losses++ === 0)
      const handled: Array<number> = []
      const done = yield* Consumer.handleOnce({
        name,
        from,
        transactional: true,
        onFailure: "park",
        handle: ({ position }) =>
          Effect.suspend(() => {
            if (position !== 3) return Effect.sync(() => void handled.push(position))
            failures++
            return Effect.fail("no")
          })
      })
      expect(losses).toBeGreaterThan(0)
      expect(done).toEqual({ handled: 5, parked: 1, position: 6 })
      expect(handled).toEqual([1, 2, 4, 5, 6])
    }).pipe(Effect.provide(Memory.layer)))

  it.scopedLive("is not repeated by a replay", () =>
    Effect.gen(function*() {
      yield* journal
      yield* Consumer.handleOnce({ name, from, onFailure: "park", handle: () => Effect.fail("no") })
      const handled: Array<number> = []
      yield* losing(() => handled.length === 1)
      const replayed = yield* Consumer.replay({
        name,
        transactional: true,
        retry: Schedule.recurs(3),
        handle: ({ position }) => Effect.sync(() => void handled.push(position))
      })
      expect(replayed).toEqual({ replayed: 6, failed: 0 })
      expect(handled).toEqual([1, 2, 3, 4, 5, 6])
    }).pipe(Effect.provide(Memory.layer)))
})

it.scoped("a lease is not renewed in the background while a transaction of the run holds it", () =>
  Effect.gen(function*() {
    yield* journal
    const begun = yield* Deferred.make<void>()
    let renewals = 0
    yield* replacing((store) => ({
      leases: {
        ...store.leases,
        renew: (lease) => Effect.zipRight(Effect.sync(() => renewals++), store.leases.renew(lease))
      }
    }))
    const running = yield* Effect.fork(Consumer.run({
      name,
      from,
      transactional: true,
      stopTimeout: 0,
      handle: () => Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
    }))
    yield* Deferred.await(begun)
    const before = renewals
    yield* Effect.repeatN(Effect.zipRight(nextTurn, TestClock.adjust("10 seconds")), 10)
    expect(renewals).toBe(before)
    yield* Fiber.interrupt(running)
  }).pipe(Effect.provide(Memory.layer), Effect.provideServiceEffect(Waiting.Waiting, Effect.clock)))
