/** Random programs of commands, concurrent where they may be, against a plain reference model. */
import {
  ActivityFeed,
  ActivityPubSub,
  activityTypeOf,
  evolve,
  type RecordedEvent,
  type State,
  stateOf
} from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Either, FastCheck as fc, HashMap, type Layer, Option, Stream } from "effect"
import { call } from "./internal/call.js"
import { at, journalAfter, observe, type Plain, plain, type Services } from "./internal/fixture.js"
import { applyAll, emptyModel, type Entry, type Model, rowsOf } from "./internal/model.js"
import { type Call, programs, type Step } from "./internal/programs.js"

/** An event as the model's journal has it, with the row that the fold of the journal has after it. */
const entryOf = (event: RecordedEvent, state: State): Entry => ({
  event: event._tag,
  activity: activityTypeOf(event._tag),
  resourceId: event.resourceId,
  tenant: event.tenant,
  row: withoutSecret(plain(
    event.resourceType === "tenant"
      ? HashMap.unsafeGet(state.tenants, event.resourceId)
      : HashMap.unsafeGet(state.relays, event.resourceId)
  ))
})

/** Of a secret, the journal knows only whether there is one. */
const withoutSecret = (row: Plain) => "nwcUrl" in row ? { ...row, nwcUrl: row.nwcUrl !== null } : row

const same = (one: unknown, other: unknown) => {
  const ordered = (_: string, value: Plain) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value
  return JSON.stringify(one, ordered) === JSON.stringify(other, ordered)
}

interface Answered {
  readonly commands: Call
  readonly answer: Either.Either<ReadonlyArray<Plain>, string>
}

/**
 * The models that the accepted calls pass through in an order in which the model gives exactly these entries; none if
 * there is no such order.
 */
const linearize = (
  before: Model,
  accepted: ReadonlyArray<Answered>,
  entries: ReadonlyArray<Entry>,
  now: string
): ReadonlyArray<Model> | undefined => {
  if (accepted.length === 0) return entries.length === 0 ? [before] : undefined
  for (const candidate of accepted) {
    const outcome = applyAll(before, candidate.commands, now)
    if ("refused" in outcome) continue
    const count = outcome.entries.length
    const expected = outcome.entries.map((entry) => ({ ...entry, row: withoutSecret(entry.row) }))
    if (!same(expected, entries.slice(0, count))) continue
    const rest = linearize(outcome.model, accepted.filter((other) => other !== candidate), entries.slice(count), now)
    if (rest !== undefined) return [before, ...rest]
  }
  return undefined
}

const day = (n: number) => DateTime.formatIso(DateTime.unsafeMake(Date.UTC(2026, 0, 1 + n)))

const run = (program: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
    let model = emptyModel()
    let state = stateOf([], [])
    let position = 0
    for (const [n, step] of program.entries()) {
      const now = day(n)
      const answers = yield* Effect.forEach(step, call, { concurrency: "unbounded" }).pipe(at(now))
      const answered = step.map((commands, index): Answered => ({ commands, answer: answers[index]! }))

      const events = yield* journalAfter(position)
      const entries: Array<Entry> = []
      for (const event of events) {
        expect(event.position).toBe(++position)
        state = evolve(state, event)
        entries.push(entryOf(event, state))
      }

      // The journal's order is one in which the model accepts what was accepted …
      const models = linearize(model, answered.filter(({ answer }) => Either.isRight(answer)), entries, now)
      if (models === undefined) {
        return expect.fail(`no order explains ${JSON.stringify({ now, step, answers, entries })}`)
      }
      // … and refuses, somewhere on the way, what was refused, for the same reason.
      for (const { answer, commands } of answered) {
        if (Either.isRight(answer)) continue
        const reasons = models.map((model) => applyAll(model, commands, now)).map((outcome) =>
          "refused" in outcome ? outcome.refused : "accepted"
        )
        expect(reasons).toContain(answer.left)
      }
      model = models[models.length - 1]!

      const world = yield* observe
      expect({ tenants: world.tenants, relays: world.relays }).toEqual(rowsOf(model))
      const logged = events.filter(({ _tag }) => activityTypeOf(_tag) !== null)
      expect(
        world.activities.slice(world.activities.length - logged.length).map((
          { id, activityType }
        ) => [id, activityType])
      )
        .toEqual(logged.map(({ _tag, id }) => [id, activityTypeOf(_tag)]))
      const returned = answered.flatMap(({ answer }) => Option.getOrElse(Either.getRight(answer), () => []))
      const byPosition = [...returned].sort((a, b) => a.position - b.position)
      expect(byPosition).toEqual(world.activities.slice(world.activities.length - returned.length))
      expect(byPosition.length).toBe(logged.length)
    }

    const { activities } = yield* observe
    expect(plain([...yield* queue.takeAll])).toEqual(activities)
    const feed = yield* ActivityFeed
    const seen = yield* Stream.runCollect(Stream.take(feed.since(0), activities.length))
    expect(plain([...seen])).toEqual(activities)
  })

/**
 * Proves an adapter by random programs: outcomes, rows, journal, log and broadcasts are those of the reference model,
 * at every step, and concurrent calls come to what some order of them comes to.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<Services, E>,
  options?: { readonly runs?: number; readonly timeout?: number }
): void => {
  describe(`Properties: ${name}`, () => {
    it("random programs come to what the reference model comes to", () =>
      fc.assert(
        fc.asyncProperty(programs, (program) =>
          Effect.runPromise(run(program).pipe(Effect.scoped, Effect.provide(layer)))),
        { numRuns: options?.runs ?? 50 }
      ), options?.timeout ?? 120_000)
  })
}
