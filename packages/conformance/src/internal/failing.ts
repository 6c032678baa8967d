/** Failing handlers: what is recorded, logged and returned. */
import { type Activity, Command } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import {
  Deferred,
  Duration,
  Effect,
  Fiber,
  type Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  Schedule,
  Schema
} from "effect"
import { caughtUp, gate, headOf, log, modes, parkedPositions, positions, Recorder, relays } from "./consumer.js"
import { alice, aliceUrl, type Services, specs } from "./fixture.js"

const name = "c"
const from = "beginning"
const retry = Schedule.stop

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {
  code: Schema.String,
  wallet: Schema.Redacted(Schema.String)
}) {
  override get message() {
    return `the card was declined, paid by ${Redacted.value(this.wallet)}`
  }
}

const declined = new CardDeclined({ code: "insufficient_funds", wallet: Redacted.make(aliceUrl) })
const told = `CardDeclined: the card was declined, paid by <redacted> {"code":"insufficient_funds","wallet":<redacted>}`

/** The logs of an effect, at every level. */
const logsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const logs: Array<{ readonly level: string; readonly message: string; readonly annotations: object }> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      logs.push({
        level: logLevel.label,
        message: [message].flat().join(" "),
        annotations: Object.fromEntries(annotations)
      })
    })
    return effect.pipe(
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Effect.exit,
      Effect.as(logs)
    )
  })

const details = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const options of modes) {
    test(
      `tag, message and fields of an error, without secrets, are in lag, in ConsumerHalted and in the parking: ${
        JSON.stringify(options)
      }`,
      Effect.gen(function*() {
        yield* relays(1)
        const run = (onFailure: "halt" | "park") =>
          Consumer.run({ name, from, retry, onFailure, handle: () => declined, ...options })
        const halted = yield* Effect.flip(run("halt"))
        expect(halted).toMatchObject({ _tag: "ConsumerHalted", name: "ConsumerHalted", consumer: name, position: 1 })
        expect(halted.message).toBe(
          `Consumer c halted at position 1 after one attempt: ${told}. ` +
            "Fix the cause and run it again, or skip the activity: caravel consumers reset c --to 1 --yes"
        )
        expect((yield* Consumer.lag(name)).lastError).toBe(told)
        yield* Effect.fork(run("park"))
        yield* caughtUp()
        for (const { error } of yield* Consumer.parked(name)) expect(error).toBe(told)
        yield* Consumer.replay({ name, handle: () => declined, transactional: options.transactional })
        for (const { attempts, error } of yield* Consumer.parked(name)) expect([attempts, error]).toEqual([2, told])
      })
    )

    test(
      `every failure of a handler is counted, retried and parked: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const hostile = new Proxy({}, {
          get: () => {
            throw new Error("get")
          },
          has: () => {
            throw new Error("has")
          }
        })
        const mute = Object.defineProperty(new Error(), "message", {
          get: () => {
            throw hostile
          }
        })
        const values = [undefined, null, 0, Symbol("s"), () => 1, hostile, mute, "\0 \ud800", new Error("\0")]
        yield* relays(1)
        yield* log(values.flatMap(() => ["r0", "r0"]))
        const all = yield* positions()
        const attempts = new Map<number, number>()
        const handle = ({ position }: Activity) => {
          attempts.set(position, (attempts.get(position) ?? 0) + 1)
          const value = values[all.indexOf(position) >> 1]
          if (position % 2 === 0) throw value
          return Effect.fail(value)
        }
        yield* Effect.fork(
          Consumer.run({ name, from, retry: Schedule.recurs(1), onFailure: "park", handle, ...options })
        )
        yield* caughtUp()
        expect(yield* parkedPositions).toEqual(all)
        expect([...attempts.values()]).toEqual(all.map(() => 2))
        for (const { attempts, error } of yield* Consumer.parked(name)) {
          expect(attempts).toBe(2)
          expect(error!.length).toBeGreaterThan(0)
        }
      })
    )
  }

  test(
    "retries are logged at debug, parking at warning, halting at error, with activity and attempt",
    Effect.gen(function*() {
      yield* relays(1)
      const run = (onFailure: "halt" | "park") =>
        Consumer.run({ name, from, retry: Schedule.recurs(1), onFailure, handle: () => Effect.fail(declined) })
      const expected = (last: string, consequence: string) => [
        `DEBUG attempt 1, and tries again: ${told}`,
        `${last} attempt 2, and ${consequence}: ${told}`
      ]
      const about = `Consumer c failed at position 1 (create_tenant of tenant ${alice}), `
      const shown = (logs: Effect.Effect.Success<ReturnType<typeof logsOf>>) =>
        logs.filter(({ message }) => message.startsWith(about)).map(({ level, message }) =>
          `${level} ${message.slice(about.length)}`
        )
      const halting = yield* logsOf(run("halt"))
      expect(shown(halting)).toEqual(expected("ERROR", "halts"))
      expect(halting.find(({ message }) => message.startsWith(about))?.annotations).toEqual({
        consumer: name,
        position: 1,
        activityType: "create_tenant",
        resourceId: alice,
        attempt: 1
      })
      const parking = yield* logsOf(Effect.raceFirst(run("park"), caughtUp()))
      expect(shown(parking)).toEqual(expected("WARN", "parks it"))
      const replaying = yield* logsOf(Consumer.replay({ name, handle: () => declined }))
      expect(shown(replaying)).toEqual([`WARN attempt 1, and leaves it parked: ${told}`])
    })
  )

  test(
    "a handler that takes longer than its timeout counts as a failed attempt",
    Effect.gen(function*() {
      yield* relays(1)
      const interrupted: Array<number> = []
      yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        onFailure: "park",
        handlerTimeout: "20 millis",
        handle: ({ position }) =>
          position === 2
            ? Effect.void
            : Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(position)))
      }))
      yield* caughtUp()
      expect(interrupted).toEqual([1])
      const error = `HandlerTimeout: The handler took longer than 20ms and was interrupted`
      const [parked] = yield* Consumer.parked(name)
      expect(parked).toMatchObject({ activity: { position: 1 }, attempts: 1 })
      expect(parked!.error).toContain(error)
      const replay = Consumer.replay({ name, handlerTimeout: "20 millis", handle: () => Effect.never })
      expect(yield* replay).toEqual({ replayed: 0, failed: 1 })
      yield* Effect.flip(
        Consumer.run({ name: "d", from, retry, handlerTimeout: "20 millis", handle: () => Effect.never })
      )
      expect((yield* Consumer.lag("d")).lastError).toContain(error)
    })
  )
}

const waiting = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "a consumer that halts and loses its lease before the handlers of other resources have ended, ends halted",
    Effect.gen(function*() {
      yield* relays(2)
      const { pass, reached } = yield* gate
      const handle = ({ resourceId }: Activity) =>
        resourceId === "r0" ? Effect.zipRight(reached, declined) : resourceId === "r1" ? pass : Effect.void
      const running = yield* Effect.fork(Consumer.run({
        name,
        from,
        retry,
        handle,
        concurrency: 4,
        leaseDuration: "300 millis",
        stopTimeout: Duration.infinity
      }))
      yield* reached
      // A lease that is lost is noticed at its renewal.
      yield* Effect.repeat(Consumer.lag(name), { until: ({ attempts }) => attempts === 1 })
      yield* Consumer.reset(name, 0)
      expect(yield* Effect.flip(Fiber.join(running))).toMatchObject({
        _tag: "ConsumerHalted",
        consumer: name,
        attempts: 1
      })
    })
  )

  for (const options of modes) {
    test(
      `waiting for a consumer fails when it halts, and works once it runs again: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        yield* relays(1)
        const head = yield* headOf
        const run = (handle: () => Effect.Effect<void, CardDeclined>) =>
          Consumer.run({ name, from, retry: Schedule.recurs(1), handle, ...options })
        const waiting = yield* Effect.fork(Effect.flip(Consumer.awaitPosition(name, head)))
        yield* Effect.fork(run(() => declined))
        const halted = yield* Fiber.join(waiting)
        expect(halted).toMatchObject({ _tag: "ConsumerHalted", consumer: name, position: 1, attempts: 2 })
        expect(halted.message).toContain(told)
        expect(yield* Effect.flip(Consumer.awaitPosition(name, head))).toMatchObject({ _tag: "ConsumerHalted" })
        yield* Effect.fork(run(() => Effect.void))
        yield* caughtUp()
      })
    )

    test(
      `waiting for a consumer that was stopped during retries does not fail, as it has not halted: ${
        JSON.stringify(options)
      }`,
      Effect.gen(function*() {
        yield* relays(1)
        const failed = yield* Deferred.make<void>()
        const running = yield* Effect.fork(Consumer.run({
          name,
          from,
          retry: Schedule.spaced("1 hour"),
          handle: () => Effect.zipRight(Deferred.succeed(failed, undefined), declined),
          ...options
        }))
        yield* Deferred.await(failed)
        yield* Effect.repeat(Consumer.lag(name), { until: ({ attempts }) => attempts === 1 })
        yield* Fiber.interrupt(running)
        expect(yield* Consumer.lag(name)).toMatchObject({ attempts: 0, lastError: told, owner: null })
        const waiting = yield* Effect.fork(caughtUp())
        yield* Effect.yieldNow()
        expect(Option.isNone(yield* Fiber.poll(waiting))).toBe(true)
        yield* Effect.fork(Consumer.run({ name, from, handle: () => Effect.void, ...options }))
        yield* Fiber.join(waiting)
      })
    )

    test(
      `a handler that waits for its own consumer fails at once: ${JSON.stringify(options)}`,
      Effect.gen(function*() {
        const command = yield* Command
        yield* relays(1)
        const seen = new Recorder()
        const { position: last } = yield* command.activateRelay({ id: "r0" })
        const handle = (activity: Activity) =>
          activity.position !== 1
            ? seen.handle(activity)
            // Only this consumer handles the activities up to that position.
            : Consumer.awaitPosition(name, last).pipe(Effect.timeout("1 hour"))
        const run = Consumer.run({ name, from, retry, onFailure: "park", handle, ...options })
        yield* Effect.fork(run)
        yield* caughtUp()
        expect(seen.positions).toEqual((yield* positions()).slice(1))
        const [parked] = yield* Consumer.parked(name)
        expect(parked!.error).toBe(
          "ConsumerWaitsForItself: A handler of consumer \"c\" cannot wait for this consumer, which continues only once " +
            "the handler has ended; wait outside of the handler {\"consumer\":\"c\"}"
        )
        // A handler may wait for another consumer, and for a position that is done.
        yield* Effect.fork(Consumer.run({
          name: "d",
          from,
          handle: ({ position }) =>
            Effect.zipRight(
              Consumer.awaitPosition(name, last),
              options.transactional === true ? Effect.void : Consumer.awaitPosition("d", position - 1)
            )
        }))
        yield* caughtUp("d")
        // The handler of a replay cannot wait for a replay.
        const replay = Consumer.replay({ name, handle: () => Consumer.requestReplay(name) })
        expect(yield* replay).toEqual({ replayed: 0, failed: 1 })
        expect((yield* Consumer.parked(name))[0]!.error).toContain("ConsumerWaitsForItself")
      })
    )
  }
}

export const failing = <E>(layer: Layer.Layer<Services, E>) => {
  details(layer)
  waiting(layer)
}
