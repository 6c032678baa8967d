/** Consumers, and how their handlers behave. */
import { type Activity, Command } from "@caravel/domain"
import type { Consumer as Consumers } from "@caravel/pubsub"
import { Cause, Data, Effect, Exit, Fiber, Function, Schedule } from "effect"
import type { Consumer } from "./History.js"
import { Prng } from "./Prng.js"
import type * as Program from "./Program.js"
import { type Parts, Steps, type Tagged, tagOf } from "./Steps.js"
import type { Services } from "./World.js"

/** A handler fails because the program says so. */
class HandlerFails extends Data.TaggedError("HandlerFails") {}

/** How long a caller waits for a consumer, in milliseconds. */
const patience = 1500

type Step<Tag extends Program.Step["_tag"]> = Extract<Program.Step, { readonly _tag: Tag }>

export class ConsumerSteps extends Steps {
  private readonly resetting = Effect.unsafeMakeSemaphore(1)

  constructor(parts: Parts) {
    super(parts)
    parts.program.consumers.forEach((data, index) =>
      parts.history.consumers.push({
        name: `consumer ${index}`,
        data,
        from: undefined,
        handled: [],
        attempts: new Map(),
        runs: 0,
        fences: new Map(),
        resets: 0
      })
    )
  }

  handleOnce(step: Step<"HandleOnce">): Effect.Effect<void> {
    return this.with(
      step,
      ({ consumer: service }, consumer, services) => service.handleOnce(this.optionsOf(consumer, services))
    )
  }

  replay(step: Step<"Replay">): Effect.Effect<void> {
    return this.with(step, ({ consumer: service }, consumer, services) =>
      step.requested
        ? service.requestReplay(consumer.name)
        : Effect.asVoid(service.replay(this.replayOptionsOf(consumer, services))))
  }

  /** Resets to a position that was handled: what is skipped would never be handled. */
  reset(step: Step<"Reset">): Effect.Effect<void> {
    return this.with(
      step,
      ({ consumer: service }, consumer) =>
        this.resetting.withPermits(1)(Effect.flatMap(service.lag(consumer.name), ({ position }) => {
          consumer.resets++
          return service.reset(consumer.name, Math.floor(position * step.to))
        }))
    )
  }

  awaitPosition(step: Step<"AwaitPosition">): Effect.Effect<void> {
    return this.with(
      step,
      ({ consumer: service, journal }, { name }) =>
        Effect.flatMap(journal.head, (head) => service.awaitPosition(name, head))
    )
  }

  private with<A, E>(
    step: { readonly node: number; readonly consumer: number },
    use: (services: Services, consumer: Consumer, same: Services) => Effect.Effect<A, E>
  ): Effect.Effect<void> {
    const consumer = this.parts.history.consumers[step.consumer]
    if (consumer === undefined) return Effect.void
    return this.whenOpen(step.node, (services, node) => {
      const used = Effect.suspend(() => use(services, consumer, services))
      const watched = this.watched(consumer, used)
      return Effect.flatMap(node.fork(Effect.timeoutOption(watched, patience)), Fiber.await)
    })
  }

  /** A consumer may fail because of its handler or the storage, but not otherwise. */
  private watched<A, E>(consumer: Consumer, effect: Effect.Effect<A, E>): Effect.Effect<void> {
    const { history } = this.parts
    return Effect.flatMap(Effect.exit(effect), (exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit)) return
        this.see(`the end of ${consumer.name}`, exit.cause)
        const isExpected = Cause.isInterruptedOnly(exit.cause) || this.isExpected(exit.cause) ||
          ["ConsumerHalted", "ConsumerNotFound"].includes(tagOf(Cause.squash(exit.cause)))
        if (!isExpected) history.report(`${consumer.name} ended: ${Cause.pretty(exit.cause)}`)
      }))
  }

  consume(step: Extract<Program.Step, { readonly _tag: "Consume" }>): Effect.Effect<void> {
    const consumer = this.parts.history.consumers[step.consumer]
    if (consumer === undefined) return Effect.void
    return this.whenOpen(step.node, (services, node) => {
      // Now, as the fiber may start after the callers have ended: from here on the consumer has to handle everything.
      const running = services.consumer.run(this.optionsOf(consumer, services))
      return node.fork(Effect.timeoutOption(this.watched(consumer, running), step.millis))
    })
  }

  optionsOf(consumer: Consumer, services: Services): Consumers.Options<Tagged, never> {
    const { batchSize, concurrency, data: { activityType, from, leaseMillis, onFailure } } = {
      ...consumer,
      ...consumer.data
    }
    consumer.from ??= from === "now" ? this.parts.observer.head() : 0
    const { stopMillis, timeoutMillis, transactional } = consumer.data
    const common = {
      name: consumer.name,
      from: consumer.from,
      ...(activityType !== null && { filter: { activityType: activityType as never } }),
      retry: Schedule.intersect(Schedule.spaced(10), Schedule.recurs(consumer.data.retries)),
      onFailure,
      transactional,
      concurrency,
      leaseDuration: leaseMillis,
      stopTimeout: stopMillis,
      ...(timeoutMillis !== null && { handlerTimeout: timeoutMillis })
    }
    const run = consumer.runs++
    // A call with several activities is not ended by the loss of the lease.
    const begin = () => this.checkFence(consumer, run)
    return batchSize === null
      ? {
        ...common,
        handle: (activity) => {
          begin()
          return this.handle(consumer, services, activity)
        }
      }
      : {
        ...common,
        batchSize,
        handleBatch: (activities) => {
          begin()
          return Effect.forEach(activities, (activity) => this.handle(consumer, services, activity), { discard: true })
        }
      }
  }

  /** No two runs handle activities under the same lease. After a reset, the owner of the old one may not know yet. */
  private checkFence({ fences, name, resets }: Consumer, run: number): void {
    const { history, observer } = this.parts
    const fence = observer.fenceOf(name)
    if (fence === undefined || resets > 0) return
    const owner = fences.get(fence) ?? run
    fences.set(fence, owner)
    if (owner !== run) history.report(`two runs of ${name} handle activities under one lease`)
  }

  private replayOptionsOf(consumer: Consumer, services: Services): Consumers.ReplayOptions<Tagged, never> {
    const { leaseMillis, stopMillis, transactional } = consumer.data
    return {
      name: consumer.name,
      transactional,
      leaseDuration: leaseMillis,
      stopTimeout: stopMillis,
      handle: (activity) => this.handle(consumer, services, activity)
    }
  }

  private handle(consumer: Consumer, services: Services, activity: Activity): Effect.Effect<void, Tagged> {
    const { attempts, data, handled, name } = consumer
    const { position, resourceId, resourceType } = activity
    return Effect.suspend(() => {
      const count = (attempts.get(position) ?? 0) + 1
      attempts.set(position, count)
      const prng = new Prng(this.parts.program.seed + position * 7919 + count * 104_729 + name.length)
      const isPoison = data.poison > 0 && position % data.poison === 0
      const before = prng.chance(0.5)
      const trouble: Effect.Effect<void, Tagged> = this.parts.faults.haveEnded
        ? Effect.void
        : isPoison || prng.chance(data.fails)
        ? Effect.fail(new HandlerFails())
        : prng.chance(data.dies)
        ? prng.chance(0.5) ? Effect.die(new Error("the handler dies")) : Effect.interrupt
        : prng.chance(data.hangs)
        ? Effect.never
        : prng.chance(data.slow)
        ? Effect.sleep(prng.pick([0, 1, 20, 150, 400]))
        : Effect.void
      const work = this.effectOf(consumer, services, activity)
      return Effect.zipRight(
        before ? Effect.zipRight(trouble, work) : Effect.zipRight(work, trouble),
        Effect.sync(() => void handled.push({ position, resourceType, resourceId }))
      )
    })
  }

  /** What a handler writes: a row of its own, and the commands of some consumers. */
  private effectOf(
    { data, name }: Consumer,
    { command, sql }: Services,
    activity: Activity
  ): Effect.Effect<void, Tagged> {
    const inserted = sql === undefined || !data.transactional
      ? Effect.void
      : Effect.asVoid(sql`INSERT INTO sim_effect (consumer, position) VALUES (${name}, ${activity.position})`)
    if (!data.sends || activity.activityType !== "create_relay") return inserted
    const mark = `${name} at ${activity.position}`
    const sent = command.submit([{ _tag: "CompleteRelaySync", id: activity.resourceId }] as never) as Effect.Effect<
      unknown,
      Tagged
    >
    return Effect.zipRight(
      inserted,
      Effect.asVoid(sent).pipe(
        Command.withMetadata({ correlationId: mark }),
        data.transactional && sql !== undefined ? Function.identity : Command.withIdempotencyKey(mark)
      )
    )
  }
}
