/** Bills with wrong clocks: events with wrong instants affect only the intervals that they bound. */
import { type Event, History, Position, type RecordedEvent } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { Array as Arr, DateTime, Effect, Either, FastCheck as fc, Stream } from "effect"
import { decideAll, type PendingCommand } from "../../src/decide/Batch.js"
import { alice, command, context, createAlice, empty } from "../given.js"

const never = Effect.dieMessage("not asked for")

/** The usage of the tenant's relay by second, from the events with these instants. */
const billOf = (events: ReadonlyArray<Event>, seconds: ReadonlyArray<number>, until: number) => {
  const recorded = events.map((event, n): RecordedEvent => ({
    ...event,
    position: Position.make(n + 1),
    createdAt: DateTime.unsafeMake(seconds[n]! * 1000)
  }))
  const history = History.make({
    head: never,
    positionAt: () => never,
    read: () => never,
    at: () => never,
    epoch: never,
    epochs: never,
    verify: Stream.die("not asked for"),
    rebuild: () => never,
    readResource: () => never,
    readTenant: (_, position, limit) => Effect.sync(() => recorded.slice(position, position + limit))
  })
  const usage = Effect.runSync(history.usage(alice, DateTime.unsafeMake(0), DateTime.unsafeMake(until * 1000)))
  const plans = Arr.makeBy(until, (): string | undefined => undefined)
  for (const { from, plan, to } of usage) {
    for (let second = from.epochMillis / 1000; second < to.epochMillis / 1000; second++) {
      if (plans[second] !== undefined) throw new Error(`metered twice at ${second}`)
      plans[second] = plan
    }
  }
  return plans
}

const plans = ["free", "basic", "growth"]

/** Commands that each change the relay's state or plan. */
const turning = (choices: ReadonlyArray<number>) => {
  let plan = 0
  let isActive = true
  return choices.map((choice) => {
    if (isActive && choice % 3 === 0) {
      isActive = false
      return command("DeactivateRelay", { id: "r" })
    }
    if (!isActive) {
      isActive = true
      return command("ActivateRelay", { id: "r" })
    }
    plan = (plan + 1 + choice % 2) % plans.length
    return command("UpdateRelay", { id: "r", plan: plans[plan]! })
  })
}

const journals = fc.array(fc.record({ choice: fc.nat(5), wait: fc.integer({ min: 1, max: 6 }) }), {
  minLength: 1,
  maxLength: 12
}).map((steps) => {
  const commands = [
    createAlice,
    command("CreateRelay", { id: "r", tenant: alice, subdomain: "r", plan: plans[0]! }),
    ...turning(steps.map(({ choice }) => choice))
  ]
  const undecided = commands.map((command, n): PendingCommand => [command, context(n)])
  const { events } = Either.getOrThrowWith(decideAll(empty, undecided), (error) => error)
  // The tenant and the relay are created at second 40.
  const seconds = [40, ...Arr.scan(steps, 40, (now, { wait }) => now + wait)]
  return { events, seconds }
})

/** The interval in which the bill may change if the nth event has the instant `wrong`. */
const affected = (seconds: ReadonlyArray<number>, n: number, wrong: number): readonly [from: number, to: number] => {
  const at = (index: number) => index < 1 ? undefined : seconds[index]
  const before = at(n - 1) ?? -Infinity
  const after = at(n + 1) ?? Infinity
  // If the instant is beyond only one neighbour, nothing shows which of the two is wrong.
  if (wrong < before && wrong >= (at(n - 2) ?? (after === Infinity ? -Infinity : before))) return [wrong, after]
  if (wrong > after && wrong <= (at(n + 2) ?? (before === -Infinity ? Infinity : after))) return [before, wrong]
  return [before, after]
}

it("an event with a wrong instant affects only the intervals that it bounds", () =>
  fc.assert(
    fc.property(journals, fc.nat(), fc.integer({ min: 0, max: 200 }), ({ events, seconds }, which, wrong) => {
      const n = 1 + which % (events.length - 1)
      const until = 200
      const right = billOf(events, seconds, until)
      const moved = billOf(events, seconds.with(n, wrong), until)
      const [from, to] = affected(seconds, n, wrong)
      const elsewhere = right.flatMap((plan, at) => (at < from || at >= to) && moved[at] !== plan ? [at] : [])
      expect(elsewhere).toEqual([])
    }),
    { numRuns: 1000, seed: 13 }
  ))

/** The interval in which the bill may change if `count` events from the nth on have these wrong instants. */
const affectedByRun = (seconds: ReadonlyArray<number>, n: number, wrong: ReadonlyArray<number>) => {
  const earlier = seconds.slice(1, n)
  const later = seconds.slice(n + wrong.length)
  const before = earlier.at(-1) ?? -Infinity
  const after = later[0] ?? Infinity
  const isEvident = wrong.every((instant) => {
    const outOfOrder = earlier.filter((other) => other > instant).length +
      later.filter((other) => other < instant).length
    return outOfOrder === 0 || outOfOrder > wrong.length
  })
  return {
    isEvident,
    from: isEvident ? before : Math.min(before, ...wrong),
    to: isEvident ? after : Math.max(after, ...wrong)
  }
}

it("events of a clock that was wrong for a while affect only the intervals that they bound", () => {
  let evident = 0
  fc.assert(
    fc.property(
      journals,
      fc.nat(),
      fc.integer({ min: 2, max: 4 }),
      fc.integer({ min: -150, max: 150 }),
      ({ events, seconds }, which, count, offset) => {
        const n = 1 + which % (events.length - 1)
        const until = 300
        const wrong = seconds.slice(n, n + count).map((second) => second + offset)
        const right = billOf(events, seconds, until)
        const moved = billOf(events, seconds.toSpliced(n, wrong.length, ...wrong), until)
        const { from, isEvident, to } = affectedByRun(seconds, n, wrong)
        const elsewhere = right.flatMap((plan, at) => (at < from || at >= to) && moved[at] !== plan ? [at] : [])
        expect(elsewhere).toEqual([])
        if (isEvident && offset !== 0) evident++
      }
    ),
    { numRuns: 1000, seed: 13 }
  )
  expect(evident).toBeGreaterThan(300)
})
