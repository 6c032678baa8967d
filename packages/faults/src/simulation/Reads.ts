/** Asks the services about the present and the past, and compares the answers with a fold of the journal. */
import {
  activityOf,
  type Pubkey,
  type RecordedEvent,
  type RelayState,
  type State,
  type Tenant,
  type TenantState,
  type Usage
} from "@caravel/domain"
import { DateTime, Effect, HashMap, Option, Redacted, Stream } from "effect"
import type { History } from "./History.js"
import { plain, statesOf } from "./Oracle.js"
import type { Tagged } from "./Steps.js"
import type { Services } from "./World.js"

/** Checks the answers of all services while nothing is written. `events` are the whole journal. */
export const check = (
  all: ReadonlyArray<Services>,
  events: ReadonlyArray<RecordedEvent>,
  history: History
): Effect.Effect<void, Tagged> =>
  Effect.suspend(() => {
    const states = statesOf(events)
    return Effect.forEach(all, (services) => new Reads(services, events, states, history).check, { discard: true })
  })

class Reads {
  private readonly services: Services
  private readonly events: ReadonlyArray<RecordedEvent>
  private readonly history: History
  /** The state after each position. */
  private readonly states: ReadonlyArray<State>
  private readonly tenants: ReadonlyArray<TenantState>
  private readonly relays: ReadonlyArray<RelayState>

  constructor(
    services: Services,
    events: ReadonlyArray<RecordedEvent>,
    states: ReadonlyArray<State>,
    history: History
  ) {
    this.services = services
    this.events = events
    this.history = history
    this.states = states
    this.tenants = sorted(states.at(-1)!.tenants)
    this.relays = sorted(states.at(-1)!.relays)
  }

  readonly check: Effect.Effect<void, Tagged> = Effect.suspend(() =>
    Effect.zipRight(this.present, Effect.zipRight(this.past, this.usage))
  )

  /** Reports an answer that is not the expected one. */
  private compare(what: string, asked: Effect.Effect<unknown, Tagged>, expected: unknown): Effect.Effect<void, Tagged> {
    return Effect.map(asked, (answer) => {
      if (plain(answer) !== plain(expected)) {
        this.history.report(`${what} is ${plain(answer)} instead of ${plain(expected)}`)
      }
    })
  }

  private readonly present = Effect.gen(this, function*() {
    const { events, relays, services: { query } } = this
    const urls = urlsOf(events, this.history)
    const tenants = this.tenants.map((tenant) => ({ ...tenant, nwcUrl: urls.get(tenant.nwcUrl) }))
    yield* this.compare("query.tenants", Effect.map(query.tenants, (all) => all.map(clear)), tenants)
    yield* this.compare("query.relays", query.relays, relays)
    const pages = Stream.runCollect(query.streamRelays())
    yield* this.compare("query.streamRelays", Effect.map(pages, (all) => [...all]), relays)
    yield* this.compare("query.activity", query.activity(), events.flatMap((event) => activityOf(event) ?? []))
    for (const tenant of tenants) {
      const { pubkey } = tenant
      const own = relays.filter((relay) => relay.tenant === pubkey)
      yield* this.compare("query.tenant", Effect.map(query.tenant(pubkey), Option.map(clear)), Option.some(tenant))
      yield* this.compare("query.relaysOf", query.relaysOf(pubkey), own)
    }
    for (const relay of relays) {
      const { id, subdomain } = relay
      yield* this.compare("query.relay", query.relay(id), Option.some(relay))
      yield* this.compare("query.relayBySubdomain", query.relayBySubdomain(subdomain), Option.some(relay))
    }
  })

  /** The past at the beginning, in the middle and at the head. */
  private readonly past = Effect.gen(this, function*() {
    const { events, services: { past }, states } = this
    for (const position of new Set([0, events.length >>> 1, events.length])) {
      const { relays, tenants } = states[position]!
      const at = `at position ${position}`
      const state = Effect.map(past.state(position), ({ relays, tenants }) => [sorted(tenants), sorted(relays)])
      yield* this.compare(`the state ${at}`, state, [sorted(tenants), sorted(relays)])
      for (const { pubkey } of this.tenants) {
        yield* this.compare(`${pubkey} ${at}`, past.tenant(pubkey, position), HashMap.get(tenants, pubkey))
      }
      for (const { id } of this.relays) {
        yield* this.compare(`${id} ${at}`, past.relay(id, position), HashMap.get(relays, id))
      }
      const instant = events[position]?.createdAt ?? end
      const later = events.findIndex(({ createdAt }) => DateTime.greaterThan(createdAt, instant))
      yield* this.compare(
        `the position at ${plain(instant)}`,
        past.position(instant),
        later < 0 ? events.length : later
      )
    }
  })

  private readonly usage = Effect.gen(this, function*() {
    const { events, services: { past } } = this
    const instants = events.map(({ createdAt }) => createdAt.epochMillis)
    const isOrdered = instants.every((instant, index) => index === 0 || instants[index - 1]! <= instant)
    const middle = events[events.length >>> 1]?.createdAt ?? end
    for (const { pubkey } of this.tenants) {
      for (const from of [DateTime.unsafeMake(0), middle]) {
        const what = `the usage of ${pubkey} from ${plain(from)}`
        const usage = past.usage(pubkey, from, end)
        if (isOrdered) yield* this.compare(what, usage, this.usageOf(pubkey, from.epochMillis))
        else if (overlap(yield* usage)) this.history.report(`${what} overlaps`)
      }
    }
  })

  /** A tenant's usage from an instant on, by the instants of all events, which are in order. */
  private usageOf(tenant: Pubkey, start: number) {
    return this.relays.filter((relay) => relay.tenant === tenant).flatMap(({ id }) => {
      const intervals: Array<{ readonly relay: string; readonly plan: string; from: string; to: string }> = []
      this.events.forEach((event, index) => {
        const relay = Option.getOrUndefined(HashMap.get(this.states[index + 1]!.relays, id))
        const from = Math.max(start, event.createdAt.epochMillis)
        const to = (this.events[index + 1]?.createdAt ?? end).epochMillis
        if (relay?.status !== "active" || from >= to) return
        const next = { relay: id, plan: relay.plan, from: iso(from), to: iso(to) }
        const last = intervals.at(-1)
        if (last?.plan === next.plan && last.to === next.from) last.to = next.to
        else intervals.push(next)
      })
      return intervals
    })
  }
}

/** An instant after those of all events. */
const end = DateTime.unsafeMake("2100-01-01T00:00:00Z")

const iso = (millis: number) => DateTime.formatIso(DateTime.unsafeMake(millis))

/** Values in the order of their keys. */
const sorted = <Key extends string, Value>(map: HashMap.HashMap<Key, Value>): ReadonlyArray<Value> =>
  [...HashMap.entries(map)].sort(([one], [other]) => one < other ? -1 : 1).map(([, value]) => value)

const clear = ({ nwcUrl, ...tenant }: Tenant) => ({
  ...tenant,
  nwcUrl: nwcUrl === null ? null : Redacted.value(nwcUrl)
})

/** The wallet URL of each reference: that of the command whose event has its id. */
const urlsOf = (events: ReadonlyArray<RecordedEvent>, { submissions }: History) => {
  const urls = new Map<string | null, unknown>([[null, null]])
  for (const { commands, mark } of submissions) {
    const written = events.filter(({ metadata }) => metadata.correlationId === mark)
    written.forEach(({ id }, index) => urls.set(id, commands[index]?.["nwcUrl"]))
  }
  return urls
}

/** Whether a relay is used twice at a time. The intervals of a relay are ordered. */
const overlap = (usage: ReadonlyArray<Usage>) =>
  usage.some(({ from, relay, to }, index) => {
    const next = usage[index + 1]
    return !DateTime.lessThan(from, to) || (next?.relay === relay && DateTime.lessThan(next.from, to))
  })
