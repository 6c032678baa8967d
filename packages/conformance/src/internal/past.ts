/** Random programs: the reference model records every moment, and `History` must agree with it. */
import { type Difference, History } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { DateTime, Effect, FastCheck as fc, HashMap, Option, Stream } from "effect"
import { at, plain, pubkey } from "./fixture.js"
import { call, withoutSecret } from "./linearize.js"
import { applyAll, emptyModel, type Entry, type Model } from "./model.js"
import { programs, type Step } from "./programs.js"

/** A program, and the milliseconds by which the clock moves before each of its calls, forward or back. */
export interface Story {
  readonly program: ReadonlyArray<Step>
  readonly ticks: ReadonlyArray<number>
  /** The period of the usage query, in milliseconds from the first instant. */
  readonly period: readonly [from: number, to: number]
}

export const stories: fc.Arbitrary<Story> = fc.record({
  program: programs,
  ticks: fc.oneof(
    fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1 }),
    fc.array(fc.integer({ min: -4, max: 5 }), { minLength: 1 })
  ),
  period: fc.tuple(fc.integer({ min: -5, max: 80 }), fc.integer({ min: 0, max: 80 })).map(([from, length]) =>
    [from, from + length] as const
  )
})

interface Row {
  readonly [field: string]: unknown
}

interface Rows {
  readonly [resource: string]: Row
}

/** An event with its instant, and all rows after it. */
interface Moment {
  readonly entry: Entry | undefined
  readonly instant: number
  readonly rows: Rows
}

const start = Date.UTC(2026, 0, 1)
const instant = (millis: number) => DateTime.unsafeMake(start + millis)
const iso = (millis: number) => DateTime.formatIso(instant(millis))

/** Runs a story, one call after another. Returns its moments: the one at index n is position n. */
const live = ({ program, ticks }: Story) =>
  Effect.gen(function*() {
    const moments: Array<Moment> = [{ entry: undefined, instant: -Infinity, rows: {} }]
    let model: Model = emptyModel()
    let now = 0
    for (const [n, next] of program.flat().entries()) {
      now += ticks[n % ticks.length]!
      const answer = yield* call(next).pipe(at(iso(now)))
      const outcome = applyAll(model, next, iso(now))
      expect(answer._tag).toBe("refused" in outcome ? "Left" : "Right")
      if ("refused" in outcome) continue
      model = outcome.model
      for (const entry of outcome.entries) {
        const name = nameOf(entry.row)
        const rows = { ...moments.at(-1)!.rows, [name]: withoutSecret(entry.row) }
        moments.push({ entry, instant: now, rows })
      }
    }
    return moments
  })

const nameOf = (row: { readonly pubkey: string } | { readonly id: string }) =>
  "pubkey" in row ? `tenant ${row.pubkey}` : `relay ${row.id}`

const rowsAt = (position: number) =>
  Effect.gen(function*() {
    const { relays, tenants } = yield* Effect.flatMap(History, (history) => history.state(position))
    const rows = [...HashMap.values(tenants), ...HashMap.values(relays)].map((row) => withoutSecret(plain(row)))
    return Object.fromEntries(rows.map((row) => [nameOf(row), row]))
  })

/** At every position, the whole state and each resource agree with the model. */
const statesAreTheModels = (moments: ReadonlyArray<Moment>) =>
  Effect.gen(function*() {
    const history = yield* History
    const names = Object.keys(moments.at(-1)!.rows)
    for (const [position, { rows }] of moments.entries()) {
      expect(yield* rowsAt(position)).toEqual(rows)
      for (const name of names) {
        const [type, id = ""] = name.split(" ")
        const row = type === "tenant"
          ? Option.getOrUndefined(yield* history.tenant(id, position))
          : Option.getOrUndefined(yield* history.relay(id, position))
        expect(row === undefined ? undefined : withoutSecret(plain(row))).toEqual(rows[name])
      }
    }
  })

/** An instant means the last position before the first later event. */
const instantsArePositions = (moments: ReadonlyArray<Moment>) =>
  Effect.gen(function*() {
    const history = yield* History
    const instants = moments.slice(1).map(({ instant }) => instant)
    for (let millis = Math.min(0, ...instants) - 1; millis <= Math.max(0, ...instants) + 1; millis++) {
      const later = instants.findIndex((instant) => instant > millis)
      expect(yield* history.position(instant(millis))).toBe(later === -1 ? instants.length : later)
    }
  })

/** The value of a field, as JSON has it. */
const valueOf = (value: unknown): unknown => value === null ? null : plain(value)

const applied = (rows: Rows, differences: ReadonlyArray<Difference>): Rows => {
  const result: { [name: string]: Row } = { ...rows }
  for (const { after, before, changes, resourceId, resourceType } of differences) {
    const name = `${resourceType} ${resourceId}`
    expect(before !== undefined).toBe(name in rows)
    const row: { [field: string]: unknown } = { ...rows[name] }
    for (const { after, before, field } of changes) {
      if (field !== "nwcUrl") expect(valueOf(before)).toEqual(row[field])
      row[field] = valueOf(after)
    }
    if (after !== undefined) result[name] = changes.some(({ field }) => field === "nwcUrl") ? withoutSecret(row) : row
    else delete result[name]
  }
  return result
}

/**
 * The difference of two moments, applied to the first, results in the second, for the whole state and for each
 * resource.
 */
const differencesLead = (moments: ReadonlyArray<Moment>) =>
  Effect.gen(function*() {
    const history = yield* History
    for (const from of moments.keys()) {
      const to = (from * 7 + 3) % moments.length
      const all = yield* history.diff(from, to)
      expect(applied(moments[from]!.rows, all)).toEqual(moments[to]!.rows)
      const names = Object.keys({ ...moments[from]!.rows, ...moments[to]!.rows })
      const single = yield* Effect.forEach(names, (name) => {
        const [resourceType, resourceId = ""] = name.split(" ")
        return history.diff(from, to, { resourceType: resourceType === "tenant" ? "tenant" : "relay", resourceId })
      })
      expect(new Set(single.flat().map((one) => JSON.stringify(one)))).toEqual(
        new Set(all.map((one) => JSON.stringify(one)))
      )
    }
  })

/**
 * The entries of each resource are its events, and their changes lead from row to row. In the other order they are the
 * same.
 */
const entriesLead = (moments: ReadonlyArray<Moment>) =>
  Effect.gen(function*() {
    const history = yield* History
    for (const name of Object.keys(moments.at(-1)!.rows)) {
      const [type, resourceId = ""] = name.split(" ")
      const resource = { resourceType: type === "tenant" ? "tenant" : "relay", resourceId } as const
      const own = moments.filter(({ entry }) => entry !== undefined && nameOf(entry.row) === name)
      const entries = [...yield* Stream.runCollect(history.events(resource))]
      expect(entries.map(({ event }) => event._tag)).toEqual(own.map(({ entry }) => entry!.event))
      let row: Row = {}
      for (const [n, { changes, event }] of entries.entries()) {
        const before = row
        for (const { after, before, field } of changes) {
          if (field !== "nwcUrl") expect(valueOf(before)).toEqual(row[field])
          row = { ...row, [field]: field === "nwcUrl" ? after !== null : valueOf(after) }
        }
        expect(own[n]!.rows[name]).toMatchObject(row)
        const changed = changes.map(({ field }) => field)
        for (const field of Object.keys(event.changes)) {
          if (!changed.includes(field as never)) expect(own[n]!.rows[name]![field]).toEqual(before[field])
        }
      }
      const backwards = yield* Stream.runCollect(history.events(resource, { order: "newest" }))
      expect([...backwards].reverse()).toEqual(entries)
    }
  })

/** The changes of a relay between plans, and between active and inactive, in the journal's order. */
const turnsOf = (moments: ReadonlyArray<Moment>, name: string) => {
  const turns: Array<{ readonly instant: number; readonly plan: string | undefined }> = []
  for (const { entry, instant } of moments) {
    if (entry === undefined || nameOf(entry.row) !== name) continue
    const plan = "status" in entry.row && entry.row.status === "active" ? entry.row.plan : undefined
    if (plan !== turns.at(-1)?.plan) turns.push({ instant, plan })
  }
  return turns
}

/**
 * The instants from which changes count. Those of the longest sequences in order count as they are, and any other is
 * moved between its neighbours. The first and the last instant decide between sequences of the same length.
 */
const settled = (turns: ReturnType<typeof turnsOf>): ReadonlyArray<number> => {
  const instants = turns.map(({ instant }) => instant)
  const length = (n: number) => n === 0 || n === instants.length - 1 ? 1.25 : 1
  const before = lengths(instants, length)
  const after = lengths(instants.map((instant) => -instant).reverse(), length).reverse()
  const through = instants.map((_, n) => before[n]! + after[n]! - length(n))
  const counts = (n: number) => through[n] === Math.max(...through)
  const counting = [...instants.keys()].filter(counts)
  return instants.map((instant, n) => {
    if (counts(n)) return instant
    const last = instants[counting.findLast((other) => other < n) ?? -1] ?? -Infinity
    const next = instants[counting.find((other) => other > n) ?? -1] ?? Infinity
    const [, middle] = [last, instant, next].sort((one, other) => one - other)
    return middle!
  })
}

/** The lengths of the longest sequences in order that end with each instant. */
const lengths = (instants: ReadonlyArray<number>, length: (n: number) => number) => {
  const result: Array<number> = []
  for (const [n, instant] of instants.entries()) {
    const before = result.filter((_, other) => instants[other]! <= instant)
    result.push(Math.max(0, ...before) + length(n))
  }
  return result
}

/** The relays of a tenant that were active at an instant, as `relay plan`. */
const activeAt = (moments: ReadonlyArray<Moment>, tenant: string, millis: number): ReadonlyArray<string> => {
  const relays = Object.entries(moments.at(-1)!.rows).filter(([, row]) => row["tenant"] === tenant)
  return relays.flatMap(([name]) => {
    const turns = turnsOf(moments, name)
    const instants = settled(turns)
    const turn = turns.find(({ plan }, n) =>
      plan !== undefined && instants[n]! <= millis && millis < (instants[n + 1] ?? Infinity)
    )
    return turn === undefined ? [] : [`${name.replace("relay ", "")} ${turn.plan}`]
  }).sort()
}

/** Usage agrees with the model at every millisecond, in as few intervals as possible. */
const usageIsTrue = (moments: ReadonlyArray<Moment>, [from, to]: Story["period"]) =>
  Effect.gen(function*() {
    const history = yield* History
    for (const tenant of [1, 2, 3].map(pubkey)) {
      const usage = (yield* history.usage(tenant, instant(from), instant(to))).map((interval) => ({
        ...interval,
        from: interval.from.epochMillis - start,
        to: interval.to.epochMillis - start
      }))
      for (let millis = from - 2; millis < to + 2; millis++) {
        const metered = usage.filter((interval) => interval.from <= millis && millis < interval.to)
        const expected = millis >= from && millis < to ? activeAt(moments, tenant, millis) : []
        expect(metered.map(({ plan, relay }) => `${relay} ${plan}`).sort()).toEqual(expected)
      }
      for (const [n, { from, plan, relay }] of usage.entries()) {
        const before = usage[n - 1]
        if (before?.relay === relay) expect(before.plan === plan ? before.to < from : before.to <= from).toBe(true)
        else if (before !== undefined) expect(before.relay < relay).toBe(true)
      }
      for (const interval of usage) expect(interval.from).toBeLessThan(interval.to)
    }
  })

/** Checks all answers of `History` about a story. */
export const tells = (story: Story) =>
  Effect.gen(function*() {
    const moments = yield* live(story)
    yield* statesAreTheModels(moments)
    yield* instantsArePositions(moments)
    yield* differencesLead(moments)
    yield* entriesLead(moments)
    yield* usageIsTrue(moments, story.period)
  })
