import { nextTurn } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, FiberId, Option, Random, Scheduler, Scope, Tracer } from "effect"
import * as GroupCommit from "../../src/write/GroupCommit.js"

const ids = (count: number) => Array.from({ length: count }, (_, index) => `r${index}`)

/** A group commit in memory, which waits while `gate` is closed. */
const opened = (scope: Scope.Scope) =>
  Effect.gen(function*() {
    const gate = yield* Effect.makeLatch(true)
    const taken: Array<{ readonly ids: ReadonlyArray<string>; readonly by: FiberId.FiberId }> = []
    let decided = 0
    const { execute } = yield* make((entries) =>
      Effect.gen(function*() {
        taken.push({ ids: entries.map(({ submission }) => submission), by: yield* Effect.fiberId })
        for (const entry of entries) entry.decide()
        yield* gate.await
        decided += entries.length
        for (const entry of entries) entry.settle(Exit.void)
      })
    ).pipe(Scope.extend(scope))
    return { gate, taken, decided: () => decided, execute }
  })

/** A queue of ids that commits at most 256 of them together. */
const make = (commit: GroupCommit.Options<string, void, never>["commit"]) =>
  GroupCommit.make({ commit, weigh: () => 1 / 256, canCallersLead: true })

const open = Effect.flatMap(Effect.scope, opened)

const tracer = Tracer.make({
  span: () => {
    throw new Error("no span is made")
  },
  context: (execution) => execution()
})

describe("a group commit", () => {
  it.scopedLive("is led by the caller if there is no leader", () =>
    Effect.gen(function*() {
      const { execute, taken } = yield* open
      yield* execute("a")
      yield* execute("b")
      const by = yield* Effect.fiberId
      expect(taken).toEqual([{ ids: ["a"], by }, { ids: ["b"], by }])
    }))

  it.scopedLive("includes all submissions of one round of fibers, in order", () =>
    Effect.gen(function*() {
      const { execute, taken } = yield* open
      yield* Effect.forEach(ids(64), execute, { concurrency: "unbounded" })
      expect(taken.map(({ ids }) => ids)).toEqual([ids(64)])
    }))

  it.scopedLive("stays a single batch for callers that submit again without pause", () =>
    Effect.gen(function*() {
      const { execute, taken } = yield* open
      const caller = (id: string) => Effect.replicateEffect(execute(id), 10)
      yield* Effect.forEach(ids(64), caller, { concurrency: "unbounded" })
      expect(taken.length).toBe(10)
    }))

  it.scopedLive("does not make a caller lead the submissions that arrive while it commits", () =>
    Effect.gen(function*() {
      const { execute, gate, taken } = yield* open
      yield* gate.close
      const first = yield* Effect.fork(Effect.map(execute("first"), () => taken.length))
      yield* nextTurn
      const others = yield* Effect.forEach(ids(300), (id) => Effect.fork(execute(id)))
      yield* nextTurn
      expect(taken.map(({ ids }) => ids)).toEqual([["first"]])
      yield* gate.open
      expect(yield* Fiber.join(first)).toBe(1)
      yield* Fiber.joinAll(others)
      expect(taken.map(({ ids }) => ids)).toEqual([["first"], ids(256), ids(300).slice(256)])
      const callers = [first, ...others].map((fiber) => fiber.id())
      expect(taken.map(({ by }) => callers.some((id) => id === by))).toEqual([true, false, false])
      // There is no leader now.
      yield* execute("last")
      expect(taken.at(-1)).toEqual({ ids: ["last"], by: yield* Effect.fiberId })
    }))

  it.scopedLive("is still committed if its leader is interrupted before it starts", () =>
    Effect.gen(function*() {
      const { execute, taken } = yield* open
      const [leaving, ...others] = yield* Effect.forEach(["leaving", ...ids(3)], (id) => Effect.fork(execute(id)))
      yield* Effect.yieldNow()
      expect(taken).toEqual([])
      yield* Fiber.interruptAsFork(leaving!, FiberId.none)
      yield* Fiber.joinAll(others)
      expect(Exit.isInterrupted(yield* Fiber.await(leaving!))).toBe(true)
      expect(taken.map(({ ids }) => ids)).toEqual([ids(3)])
      yield* execute("last")
    }))

  it.scopedLive("is decided before the interruption of its leader or of a follower completes", () =>
    Effect.gen(function*() {
      const { decided, execute, gate, taken } = yield* open
      yield* gate.close
      const fibers = yield* Effect.forEach(ids(3), (id) => Effect.fork(execute(id)))
      yield* nextTurn
      expect(taken.length).toBe(1)
      const interruptions = yield* Effect.forEach(fibers.slice(0, 2), (fiber) => Effect.fork(Fiber.interrupt(fiber)))
      yield* nextTurn
      for (const interruption of interruptions) expect(Option.isNone(yield* Fiber.poll(interruption))).toBe(true)
      yield* gate.open
      for (const interruption of interruptions) {
        expect(Exit.isInterrupted(yield* Fiber.join(interruption))).toBe(true)
        expect(decided()).toBe(3)
      }
      yield* Fiber.join(fibers[2]!)
      yield* execute("last")
    }))

  it.scopedLive("is decided before the scope closes, and callers that wait for the next one or come later are interrupted", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { decided, execute, gate } = yield* opened(scope)
      yield* gate.close
      const first = yield* Effect.fork(execute("first"))
      yield* nextTurn
      const second = yield* Effect.fork(execute("second"))
      yield* nextTurn
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* nextTurn
      expect(Exit.isInterrupted(yield* Fiber.await(second))).toBe(true)
      expect(Option.isNone(yield* Fiber.poll(closing))).toBe(true)
      yield* gate.open
      yield* Fiber.join(closing)
      expect(decided()).toBe(1)
      yield* Fiber.join(first)
      expect(Exit.isInterrupted(yield* Effect.exit(execute("late")))).toBe(true)
    }))

  it.scopedLive("is not led by a caller with another clock, scheduler, tracer or random generator", () =>
    Effect.gen(function*() {
      const { execute, taken } = yield* open
      const clock = Clock.make()
      const scheduler = Scheduler.make((task) => void setImmediate(task), () => false)
      for (
        const elsewhere of [
          Effect.withClock({ ...clock, [Clock.ClockTypeId]: Clock.ClockTypeId, sleep: () => Effect.never }),
          Effect.withScheduler(scheduler),
          Effect.withTracer(tracer),
          Effect.withRandom(Random.make("seed"))
        ]
      ) {
        yield* elsewhere(execute("a"))
        expect(taken.at(-1)?.by).not.toBe(yield* Effect.fiberId)
        yield* nextTurn
      }
      yield* execute("b")
      expect(taken.at(-1)?.by).toBe(yield* Effect.fiberId)
    }))

  it.scopedLive("that dies fails all its submissions with the defect, and the next one works", () =>
    Effect.gen(function*() {
      let batches = 0
      const gate = yield* Effect.makeLatch()
      const { execute } = yield* make((entries) =>
        Effect.suspend(() => {
          if (++batches < 3) return Effect.zipRight(gate.await, Effect.die("broken"))
          for (const entry of entries) entry.settle(Exit.void)
          return Effect.void
        })
      )
      const fork = (id: string) => Effect.fork(Effect.exit(execute(id)))
      // Two submissions are in the caller's batch, and two in the writer's.
      const first = yield* Effect.forEach(["a", "b"], fork)
      yield* nextTurn
      const second = yield* Effect.forEach(["c", "d"], fork)
      yield* nextTurn
      yield* gate.open
      for (const fiber of [...first, ...second]) expect(yield* Fiber.join(fiber)).toEqual(Exit.die("broken"))
      expect(batches).toBe(2)
      yield* execute("e")
    }))

  it.scopedLive("that is interrupted while it waits goes back to the queue, before what was queued later", () =>
    Effect.gen(function*() {
      const taken: Array<ReadonlyArray<string>> = []
      const gate = yield* Effect.makeLatch()
      const { execute } = yield* make((entries, restore) =>
        Effect.gen(function*() {
          taken.push(entries.map(({ submission }) => submission))
          yield* restore(gate.await)
          for (const entry of entries) entry.settle(Exit.void)
        })
      )
      const [leader, ...followers] = yield* Effect.forEach(["a", "b", "c"], (id) => Effect.fork(execute(id)))
      yield* nextTurn
      const later = yield* Effect.fork(execute("d"))
      yield* nextTurn
      expect(taken).toEqual([["a", "b", "c"]])
      yield* Effect.fork(Fiber.interrupt(leader!))
      yield* nextTurn
      yield* nextTurn
      yield* gate.open
      yield* Fiber.joinAll([...followers, later])
      expect(taken.slice(1)).toEqual([["b", "c", "d"]])
    }))

  it.scopedLive("yields to the event loop if a single caller submits without pause", () =>
    Effect.gen(function*() {
      const { execute } = yield* open
      let isOver = false
      setImmediate(() => {
        isOver = true
      })
      const latest = performance.now() + 5000
      yield* Effect.whileLoop({
        while: () => !isOver && performance.now() < latest,
        body: () => execute("a"),
        step: () => {}
      })
      expect(isOver).toBe(true)
    }))
})
