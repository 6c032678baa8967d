/** Helpers of the consumer suites. */
import { type Activity, Command, type CommandRequest, decodeCommand, Query } from "@caravel/domain"
import { Consumer, type ConsumerStore, Waiting } from "@caravel/pubsub"
import { it } from "@effect/vitest"
import { Clock, Deferred, Effect, type Layer, Schedule, type Scope } from "effect"
import { alice, invoke, type Services } from "./fixture.js"

/** Runs each test on a fresh layer. Waiting uses the test's clock too. */
export const timed =
  <E>(layer: Layer.Layer<Services, E>) =>
  <A, E2>(name: string, body: Effect.Effect<A, E2, Services | Scope.Scope>, timeout = 60_000) =>
    it.effect(
      name,
      () => body.pipe(Effect.scoped, Effect.provide(layer), Effect.provideServiceEffect(Waiting.Waiting, Effect.clock)),
      timeout
    )

const activate = (id: string): Effect.Effect<CommandRequest> =>
  Effect.orDie(decodeCommand({ _tag: "ActivateRelay", id }))

/**
 * Logs an activity for each of these relays, a thousand per submission. After each submission follows an event without
 * one.
 */
export const log = (ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { submit } = yield* Command
    const requests = yield* Effect.forEach(ids, activate)
    for (let n = 0; n < requests.length; n += 1000) {
      yield* submit(requests.slice(n, n + 1000))
      yield* invoke("setTenantNwcError", [alice, "unlogged"])
    }
  })

export const times = (count: number, id: string | ((n: number) => string) = "r0") =>
  Array.from({ length: count }, (_, n) => typeof id === "string" ? id : id(n))

/** Creates a tenant with `count` relays: `r0`, `r1` and so on. */
export const relays = (count: number) =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: alice })
    for (let n = 0; n < count; n++) {
      yield* command.createRelay({ id: `r${n}`, tenant: alice, subdomain: `r${n}` })
    }
  })

export const activities = (filter: typeof ConsumerStore.Filter.Encoded & { readonly after?: number } = {}) =>
  Effect.flatMap(Query, (query) => query.activity(filter))

export const positions = (filter?: typeof ConsumerStore.Filter.Encoded & { readonly after?: number }) =>
  Effect.map(activities(filter), (activities) => activities.map(({ position }) => position))

export const headOf = Effect.map(positions(), (positions) => positions.at(-1) ?? 0)

/** Waits until a consumer has handled everything up to the head. */
export const caughtUp = (name = "c") => Effect.flatMap(headOf, (head) => Consumer.awaitPosition(name, head))

/** Handlers that record their activities. */
export class Recorder {
  readonly activities: Array<Activity> = []
  get positions() {
    return this.activities.map(({ position }) => position)
  }
  get resources() {
    return this.activities.map(({ resourceId }) => resourceId as string)
  }
  readonly handle = (activity: Activity) => Effect.sync(() => void this.activities.push(activity))
  /** A handler that fails for some activities and records the others. */
  readonly failing = (fails: (activity: Activity) => boolean) => (activity: Activity) =>
    Effect.suspend(() => fails(activity) ? Effect.fail(`no ${activity.resourceId}`) : this.handle(activity))
}

/**
 * Yields until other fibers have made the condition true. After some yields it leaves the processor to what they wait for,
 * whatever the clock of the test.
 */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.repeat(Effect.zipRight(Effect.yieldNow(), Effect.sync(condition)), {
    until: (holds) => holds,
    schedule: Schedule.andThen(Schedule.recurs(256), Schedule.spaced("1 millis"))
  }).pipe(Effect.withClock(Clock.make()), Effect.asVoid)

/** Reads from the storage until a condition holds. Unlike `until`, it lets other fibers use the storage meanwhile. */
export const readUntil = (condition: () => boolean) => Effect.repeat(Consumer.list, { until: condition })

/** Reads from the storage until a consumer of a layer has ended. Returns the reason. */
export const ended = Effect.flip(Effect.forever(Effect.zipRight(Effect.orDie(Consumer.list), Consumer.ready)))

/** The options of `run` with which every guarantee is tested. */
export const modes: ReadonlyArray<{ readonly transactional?: boolean; readonly concurrency?: number }> = [
  {},
  { transactional: true },
  { concurrency: 4 }
]

/** A place in a handler where the consumer stays, from when it has reached it until it is let go. */
export const gate = Effect.zipWith(Deferred.make<void>(), Deferred.make<void>(), (reached, opened) => ({
  pass: Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(opened)),
  reached: Deferred.await(reached),
  open: Deferred.succeed(opened, undefined)
}))

export const parkedPositions = Effect.map(
  Consumer.parked("c"),
  (parked) => parked.map(({ activity }) => activity.position)
)
