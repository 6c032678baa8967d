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
const intervalsOf = (turns: ReadonlyArray<Turn>): ReadonlyArray<Interval> =>
  turns.flatMap(({ plan }, index) => {
    const from = instantOf(turns, index)
    const to = index + 1 < turns.length ? instantOf(turns, index + 1) : Infinity
    return plan !== undefined && from < to ? [{ from, to, plan }] : []
  })

/**
 * The instant of a turn: its own, unless its clock was evidently wrong. The clock was wrong if the instant is later
 * than the next two turns, or earlier than the previous two, while the neighbours are in order; then the neighbour's
 * instant is used. If only two turns disagree, nothing shows which one is wrong, and both keep their instants. At
 * either end of the list, the one with neighbours on both sides is taken to be wrong.
 */
const instantOf = (turns: ReadonlyArray<Turn>, index: number): number => {
  const at = (offset: number) => turns[index + offset]?.from
  const own = turns[index]!.from
  const [before, after] = [at(-1), at(1)]
  if (before !== undefined && after !== undefined && before > after) return own
  if (after !== undefined && own > after && own > (at(2) ?? (before === undefined ? Infinity : after))) return after
  if (before !== undefined && own < before && own < (at(-2) ?? (after === undefined ? -Infinity : before))) {
    return before
  }
  return own
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
const firstEndingAfter = (intervals: ReadonlyArray<Interval>, instant: number): number => {
  let low = 0
  let high = intervals.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (intervals[middle]!.to > instant) high = middle
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
