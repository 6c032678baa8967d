/** Metering usage, activity by activity. */
import { DateTime, HashMap, Option, Order } from "effect"
import { stateOf } from "../Batch.js"
import { evolve, type State } from "../Decider.js"
import type { RecordedEvent } from "../Event.js"
import type { PlanId, RelayId } from "../Relay.js"
import type { Period, Usage } from "../Usage.js"

interface Metered {
  /** The instant that the relay has come to. */
  readonly now: number
  readonly turns: Array<Turn>
}

/** From here on the relay is active on this plan; on none, it is not active. */
interface Turn {
  readonly from: number
  readonly plan: PlanId | undefined
}

/**
 * Meters a tenant's activities over a period. Each counts from its own instant; where its clock was behind, from that of
 * the relay's activity before it: a relay's time never goes back.
 */
export class Meter {
  private state: State = stateOf([], [])
  private readonly relays = new Map<RelayId, Metered>()
  private readonly from: number
  private readonly to: number

  constructor({ from, to }: Period) {
    this.from = from.epochMillis
    this.to = to.epochMillis
  }

  record(event: RecordedEvent): void {
    this.state = evolve(this.state, event)
    if (event.resourceType === "tenant") return
    const relay = Option.getOrUndefined(HashMap.get(this.state.relays, event.resourceId))
    const { now, turns } = this.relays.get(event.resourceId) ?? { now: -Infinity, turns: [] }
    const from = Math.max(now, event.createdAt.epochMillis)
    this.relays.set(event.resourceId, { now: from, turns })
    this.turn(turns, { from, plan: relay?.status === "active" ? relay.plan : undefined })
  }

  /** What lasted no time is dropped, and of what was before the period only the last is kept. */
  private turn(turns: Array<Turn>, next: Turn) {
    if (next.from >= this.to) return
    if (turns.at(-1)?.from === next.from || next.from <= this.from) turns.pop()
    if (turns.at(-1)?.plan !== next.plan) turns.push(next)
  }

  /** The intervals, by relay and time, cut to the period. What is active in the end stays so. */
  get usage(): ReadonlyArray<Usage> {
    return [...this.relays].sort(([one], [other]) => Order.string(one, other)).flatMap(([relay, { turns }]) =>
      turns.flatMap(({ from, plan }, index) => {
        const start = Math.max(from, this.from)
        const end = turns[index + 1]?.from ?? this.to
        return plan === undefined || start >= end
          ? []
          : [{ relay, plan, from: DateTime.unsafeMake(start), to: DateTime.unsafeMake(end) }]
      })
    )
  }
}
