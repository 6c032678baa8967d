/**
 * Meters usage from the events that activate or deactivate a relay or change its plan. Each event counts from its own
 * instant.
 */
import { DateTime, HashMap, Option, Order } from "effect"
import { stateOf } from "../decide/Batch.js"
import { evolve, type State } from "../decide/Decider.js"
import type { RecordedEvent } from "../event/Event.js"
import type { PlanId, RelayId } from "../model/Relay.js"
import type { Period, Usage } from "./Usage.js"

/** The relay is active on `plan` from the instant `from` on; without a plan, it is inactive from then on. */
interface Turn {
  readonly from: number
  readonly plan: PlanId | undefined
}

/** A relay is active on a plan from `from` (inclusive) to `to` (exclusive). */
interface Interval {
  readonly from: number
  readonly to: number
  readonly plan: PlanId
}

/** Folds a tenant's metered events and computes the usage in a period. */
export class Meter {
  private state: State = stateOf([], [])
  private readonly relays = new Map<RelayId, Array<Turn>>()
  private readonly from: number
  private readonly to: number

  constructor({ from, to }: Period) {
    this.from = from.epochMillis
    this.to = to.epochMillis
  }

  /** Adds the next event, in the order of the journal. An event that changes neither state nor plan starts no turn. */
  record(event: RecordedEvent): void {
    this.state = evolve(this.state, event)
    if (event.resourceType === "tenant") return
    const relay = Option.getOrUndefined(HashMap.get(this.state.relays, event.resourceId))
    const turns = this.relays.get(event.resourceId) ?? []
    this.relays.set(event.resourceId, turns)
    const plan = relay?.status === "active" ? relay.plan : undefined
    if (turns.at(-1)?.plan !== plan) turns.push({ from: event.createdAt.epochMillis, plan })
  }

  /** The intervals within the period, ordered by relay and time. A relay that is active at the end stays active. */
  get usage(): ReadonlyArray<Usage> {
    return [...this.relays].sort(([one], [other]) => Order.string(one, other)).flatMap(([relay, turns]) =>
      merged(disjoint(intervalsOf(turns))).flatMap(({ from, plan, to }) => {
        const start = Math.max(from, this.from)
        const end = Math.min(to, this.to)
        return start < end ? [{ relay, plan, from: DateTime.unsafeMake(start), to: DateTime.unsafeMake(end) }] : []
      })
    )
  }
}

/** Each turn lasts until the next one. It has no duration if the next one's instant is not later. */
const intervalsOf = (turns: ReadonlyArray<Turn>): ReadonlyArray<Interval> => {
  const instants = believable(turns.map(({ from }) => from))
  return turns.flatMap(({ plan }, index) => {
    const from = instants[index]!
    const to = instants[index + 1] ?? Infinity
    return plan !== undefined && from < to ? [{ from, to, plan }] : []
  })
}

/**
 * Replaces the instants of clocks that were evidently wrong. Turns are in the order of the journal, so their instants
 * should never decrease. The instants that belong to a longest sequence that does not decrease are believed, and any
 * other becomes the nearest instant between its believed neighbours. So however wrong the instants of `n` turns are, the
 * correct ones are believed if each wrong one is out of order with more than `n` of them. If several sequences are
 * longest, nothing shows which one is wrong, and all of them are believed, but the first and the last instant decide
 * between sequences of the same length: they have neighbours on one side only.
 */
const believable = (instants: ReadonlyArray<number>): ReadonlyArray<number> => {
  const upTo = weights(instants)
  const onwards = weights(instants.map((instant) => -instant).reverse()).reverse()
  const throughEach = instants.map((_, index) => upTo[index]! + onwards[index]! - weight(index, instants.length))
  const longest = throughEach.reduce((longest, through) => Math.max(longest, through), 0)
  const isBelieved = (index: number) => throughEach[index] === longest
  let before = -1
  let after = -1
  return instants.map((instant, index) => {
    if (isBelieved(index)) {
      before = index
      return instant
    }
    if (after < index) {
      after = index + 1
      while (after < instants.length && !isBelieved(after)) after++
    }
    const neighbours = [instants[before] ?? -Infinity, instants[after] ?? Infinity]
    return Math.max(Math.min(...neighbours), Math.min(Math.max(...neighbours), instant))
  })
}

/** The weight of an instant in a sequence. The two ends together weigh less than one instant more. */
const weight = (index: number, length: number): number => index === 0 || index === length - 1 ? 4 : 3

/** For each instant, the weight of the heaviest sequence that ends with it and does not decrease. */
const weights = (instants: ReadonlyArray<number>): Array<number> => {
  // For each weight, the least instant with which a sequence of that weight ends.
  const ends: Array<number> = []
  return instants.map((instant, index) => {
    let heaviest = 0
    for (let copies = weight(index, instants.length); copies > 0; copies--) {
      heaviest = firstIndex(ends.length, (index) => ends[index]! > instant)
      ends[heaviest++] = instant
    }
    return heaviest
  })
}

/**
 * Makes the intervals ordered and disjoint. If intervals overlap, because a clock was set back, the time belongs to the
 * earlier turn, so that it is metered once.
 */
const disjoint = (intervals: ReadonlyArray<Interval>): ReadonlyArray<Interval> => {
  const taken: Array<Interval> = []
  for (const { from, plan, to } of intervals) {
    let start = from
    for (let index = firstEndingAfter(taken, from); start < to; index++) {
      const next = taken[index]
      const end = Math.min(to, next?.from ?? Infinity)
      if (start < end) taken.splice(index++, 0, { from: start, to: end, plan })
      start = next?.to ?? Infinity
    }
  }
  return taken
}

/** The index of the first interval that ends after an instant. The intervals must be ordered. */
const firstEndingAfter = (intervals: ReadonlyArray<Interval>, instant: number): number =>
  firstIndex(intervals.length, (index) => intervals[index]!.to > instant)

/** The first index below `length` at which a condition holds that holds from there on, or else `length`. */
const firstIndex = (length: number, holds: (index: number) => boolean): number => {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}

/** Joins adjacent intervals on the same plan. */
const merged = (intervals: ReadonlyArray<Interval>): ReadonlyArray<Interval> =>
  intervals.reduce<Array<Interval>>((merged, interval) => {
    const last = merged.at(-1)
    if (last !== undefined && last.plan === interval.plan && last.to === interval.from) {
      merged[merged.length - 1] = { ...last, to: interval.to }
    } else merged.push(interval)
    return merged
  }, [])
