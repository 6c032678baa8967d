/** Compares random programs of commands, some of them concurrent, with a plain reference model. */
import { ActivityFeed, ActivityPubSub, type CallerMetadata, Command, evolve, stateOf } from "@caravel/domain"
import { activityTypeOf } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, type Layer, Option, Stream } from "effect"
import { rebuild, verify } from "./internal/backdoor.js"
import { atMillis, journalAfter, observe, plain, type Services } from "./internal/fixture.js"
import { type Answered, call, entryOf, linearize } from "./internal/linearize.js"
import { applyAll, emptyModel, type Entry, instantOf, isMalformed, rowsOf } from "./internal/model.js"
import { type ClockOf, clocks, metadata, programs, type Step } from "./internal/programs.js"
import { retries, retryPrograms } from "./internal/retries.js"
import * as LongRun from "./LongRun.js"

/** A program with the clocks and the metadata of its steps. Both repeat if the program is longer. */
interface Story {
  readonly program: ReadonlyArray<Step>
  readonly clocks: ReadonlyArray<ClockOf>
  readonly metadata: ReadonlyArray<CallerMetadata>
}

const stories: fc.Arbitrary<Story> = fc.record({
  program: programs,
  clocks: fc.array(clocks, { minLength: 1, maxLength: 20 }),
  metadata: fc.array(metadata, { minLength: 1, maxLength: 5 })
})

const run = ({ clocks, metadata, program }: Story) =>
  Effect.gen(function*() {
    const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
    let model = emptyModel()
    let state = stateOf([], [])
    let position = 0
    for (const [n, step] of program.entries()) {
      const millis = clocks[n % clocks.length]!(n)
      const given = metadata[n % metadata.length]!
      const answers = yield* Effect.forEach(step, call, { concurrency: "unbounded" }).pipe(
        Command.withMetadata(given),
        atMillis(millis)
      )
      const answered = step.map((call, index): Answered => ({ call, answer: answers[index]! }))

      const now = instantOf(millis)
      if (now === undefined) {
        const refusals = step.map((call) => Either.left(isMalformed(call) ? "ParseError" : "StorageError"))
        expect(answers).toEqual(refusals)
        expect(yield* journalAfter(position)).toEqual([])
        continue
      }

      const events = yield* journalAfter(position)
      const entries: Array<Entry<object>> = []
      for (const event of events) {
        expect(event.position).toBe(++position)
        state = evolve(state, event)
        entries.push(entryOf(event, state))
        expect([plain(event).createdAt, event.metadata]).toEqual([now, given])
      }

      // The model accepts the accepted calls in the journal's order …
      const models = linearize(model, answered.filter(({ answer }) => Either.isRight(answer)), entries, now)
      if (models === undefined) {
        return expect.fail(`no order explains ${JSON.stringify({ now, step, answers, entries })}`)
      }
      // … and refuses each refused call, for the same reason, at some point of that order.
      for (const { answer, call } of answered) {
        if (Either.isRight(answer)) continue
        const reasons = models.map((model) => applyAll(model, call, now)).map((outcome) =>
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

    const { differences, last } = yield* verify
    expect([differences, last.events]).toEqual([[], position])
    expect((yield* rebuild).written).toBe(0)
  })

/**
 * Proves an adapter by random programs: outcomes, rows, journal, log and broadcasts agree with the reference model at
 * every step. Concurrent calls have the outcomes of some sequential order, and a call with a key takes effect once.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(
  name: string,
  layer: Layer.Layer<Services, E>,
  options?: { readonly runs?: number; readonly timeout?: number }
): void => {
  const numRuns = LongRun.count("CARAVEL_PROGRAMS", { usual: options?.runs ?? 25, long: 500 })
  const parameters = { numRuns, seed: LongRun.seed }
  const timeout = options?.timeout ?? LongRun.timeout(120_000)

  describe(`Properties: ${name}`, () => {
    it(
      "random programs with any texts, ids and clocks agree with the reference model",
      () =>
        fc.assert(
          fc.asyncProperty(
            stories,
            (story) => Effect.runPromise(run(story).pipe(Effect.scoped, Effect.provide(layer)))
          ),
          parameters
        ),
      timeout
    )

    it("commands that are repeated with their keys take effect once and return the first answer", () =>
      fc.assert(
        fc.asyncProperty(retryPrograms, (program) =>
          Effect.runPromise(retries(program).pipe(Effect.scoped, Effect.provide(layer)))),
        parameters
      ), timeout)
  })
}
