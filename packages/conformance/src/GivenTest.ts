/** Proves that an adapter that starts with a journal, or with tenants and relays, has what their source had. */
import {
  type Event,
  evolve,
  History,
  Journal,
  Query,
  type Relay,
  type SecretId,
  stateOf,
  type StorageError,
  type Tenant
} from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import {
  Chunk,
  Effect,
  FastCheck as fc,
  HashMap,
  type Layer,
  Logger,
  LogLevel,
  type Redacted,
  type Scope,
  Stream
} from "effect"
import { journalAfter, observe, plain, type Services } from "./internal/fixture.js"
import { outcomeOf, programs, type Step } from "./internal/outcome.js"
import * as LongRun from "./LongRun.js"

/**
 * A journal, and the secrets that it refers to.
 *
 * @since 0.1.0
 * @category models
 */
export interface GivenJournal {
  readonly events: ReadonlyArray<Event>
  readonly secrets: ReadonlyArray<{ readonly id: SecretId; readonly value: Redacted.Redacted }>
}

/**
 * Tenants and relays.
 *
 * @since 0.1.0
 * @category models
 */
export interface GivenRows {
  readonly tenants: ReadonlyArray<Tenant>
  readonly relays: ReadonlyArray<Relay>
}

const journal: Effect.Effect<GivenJournal, StorageError, Services> = Effect.gen(function*() {
  const query = yield* Query
  const events = yield* journalAfter()
  const { tenants } = events.reduce(evolve, stateOf([], []))
  const secrets = (yield* query.tenants).flatMap(({ nwcUrl, pubkey }) =>
    nwcUrl === null ? [] : [{ id: HashMap.unsafeGet(tenants, pubkey).nwcUrl!, value: nwcUrl }]
  )
  return { events, secrets }
})

const rows: Effect.Effect<GivenRows, StorageError, Services> = Effect.flatMap(
  Query,
  ({ relays, tenants }) => Effect.all({ relays, tenants })
)

const drifts = Effect.flatMap(Journal, ({ verify }) => Stream.runCollect(verify)).pipe(
  Effect.map((steps) => Chunk.toReadonlyArray(steps).flatMap(({ differences }) => differences))
)

/** The rows at every position. */
const past = Effect.gen(function*() {
  const history = yield* History
  const head = yield* (yield* Journal).head
  const states = yield* Effect.forEach(Array.from({ length: head + 1 }), (_, position) => history.state(position))
  return plain(states)
})

/** Keys are no part of a journal, so the programs use none. */
const keyless = programs.map((program) => program.map((step): Step => ({ ...step, key: undefined })))

interface Versioned {
  readonly version: number
}

const unversioned = (
  world: { readonly tenants: ReadonlyArray<Versioned>; readonly relays: ReadonlyArray<Versioned> }
) => {
  const withoutVersion = ({ version: _, ...row }: Versioned) => row
  return [world.tenants.map(withoutVersion), world.relays.map(withoutVersion)]
}

/**
 * Proves for random programs that a layer that is given the journal of another has the same rows, events, activities
 * and past, that `verify` finds no drift, and that both then behave the same. Given only the tenants and relays, a
 * layer has the same rows at version 1.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E, E2>(
  name: string,
  source: Layer.Layer<Services, E>,
  given: (from: GivenJournal | GivenRows) => Layer.Layer<Services, E2>
): void => {
  describe(`Given: ${name}`, () => {
    const test = <E>(
      name: string,
      check: (before: ReadonlyArray<Step>, after: ReadonlyArray<Step>) => Effect.Effect<void, E, Services | Scope.Scope>
    ) => {
      // The clocks of the programs are often wrong, which is logged.
      const run = (before: ReadonlyArray<Step>, after: ReadonlyArray<Step>) =>
        check(before, after).pipe(
          Effect.scoped,
          Effect.provide(source),
          Logger.withMinimumLogLevel(LogLevel.None),
          Effect.runPromise
        )
      it(name, () =>
        fc.assert(fc.asyncProperty(keyless, keyless, run), {
          numRuns: LongRun.count("CARAVEL_GIVEN", { usual: 10, long: 500 }),
          seed: LongRun.seed
        }), LongRun.timeout(120_000))
    }

    test(
      "a journal has the same rows, activities and past, and continues as its source does",
      (before, after) =>
        Effect.gen(function*() {
          yield* outcomeOf(before)
          const world = yield* observe
          const states = yield* past
          const from = yield* journal
          const outcome = yield* outcomeOf(after)
          yield* Effect.gen(function*() {
            expect(yield* observe).toEqual(world)
            expect(yield* past).toEqual(states)
            expect(yield* drifts).toEqual([])
            expect(yield* outcomeOf(after)).toEqual(outcome)
            expect(yield* drifts).toEqual([])
          }).pipe(Effect.provide(given(from)))
        })
    )

    test(
      "tenants and relays are there as they were, and commands continue from them",
      (before, after) =>
        Effect.gen(function*() {
          yield* outcomeOf(before)
          const world = yield* observe
          const from = yield* rows
          yield* Effect.gen(function*() {
            const imported = yield* observe
            expect(unversioned(imported)).toEqual(unversioned(world))
            expect(imported.activities.length).toBe(from.tenants.length + from.relays.length)
            expect(yield* drifts).toEqual([])
            yield* outcomeOf(after)
            expect(yield* drifts).toEqual([])
          }).pipe(Effect.provide(given(from)))
        })
    )
  })
}
