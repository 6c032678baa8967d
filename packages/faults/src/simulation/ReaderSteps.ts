/** Readers of the activity log: live subscriptions and feeds. */
import type { Activity } from "@caravel/domain"
import { Cause, Deferred, Effect, Exit, Option, Stream } from "effect"
import type { Reader } from "./History.js"
import type * as Program from "./Program.js"
import { Steps, type Tagged } from "./Steps.js"
import type { Node, Services } from "./World.js"

export class ReaderSteps extends Steps {
  subscribe(step: Extract<Program.Step, { readonly _tag: "Subscribe" }>): Effect.Effect<void> {
    return this.whenOpen(step.node, (services, node) =>
      Effect.flatMap(Deferred.make<void>(), (subscribed) => {
        const reader = this.reader("subscriber", step.node, undefined)
        const reading = Effect.scoped(Effect.gen(this, function*() {
          const queue = yield* services.command.notify.subscribe
          reader.subscribedAt = this.parts.observer.head()
          yield* Deferred.succeed(subscribed, undefined)
          while (true) {
            this.received(reader, yield* queue.take)
            if (step.pause > 0 && !this.parts.faults.haveEnded) yield* Effect.sleep(step.pause)
          }
        }))
        // It may be interrupted before it has subscribed.
        const ended = Effect.ensuring(reading, Deferred.succeed(subscribed, undefined))
        return Effect.zipRight(
          this.reading(reader, node, services, ended, step.millis),
          Effect.timeoutOption(Deferred.await(subscribed), 1000)
        )
      }))
  }

  follow(step: Extract<Program.Step, { readonly _tag: "Follow" }>): Effect.Effect<void> {
    return this.whenOpen(step.node, (services, node) => {
      const { feed } = services
      const since = step.from === null ? undefined : Math.floor(this.parts.observer.head() * step.from)
      const reader = this.reader(since === undefined ? "live feed" : `feed since ${since}`, step.node, since)
      const stream: Stream.Stream<Activity, Tagged> = since === undefined ? feed.live : feed.since(since)
      const reading = Stream.runForEach(stream, (activity) => {
        this.received(reader, activity)
        return step.pause > 0 && !this.parts.faults.haveEnded ? Effect.sleep(step.pause) : Effect.void
      })
      return this.reading(reader, node, services, reading, step.millis)
    })
  }

  private reader(kind: string, node: number, since: number | undefined): Reader {
    const { readers } = this.parts.history
    const reader: Reader = {
      name: `${kind} (reader ${readers.length} on node ${node})`,
      node,
      since,
      subscribedAt: undefined,
      seen: [],
      isOpen: true
    }
    readers.push(reader)
    return reader
  }

  /** Reads in a fiber of the node, for a time or to the end. It must not end by itself. */
  private reading(
    reader: Reader,
    node: Node,
    services: Services,
    reading: Effect.Effect<unknown, Tagged>,
    millis: number | null
  ): Effect.Effect<void> {
    const { faults, history } = this.parts
    const bounded = millis === null ? Effect.asSome(reading) : Effect.timeoutOption(reading, millis)
    return Effect.map(node.fork(bounded), (fiber) => {
      fiber.addObserver((exit) => {
        reader.isOpen = false
        if (Exit.isSuccess(exit)) {
          if (Option.isSome(exit.value)) history.report(`${reader.name} ended by itself`)
          return
        }
        this.see("the error of a reader", exit.cause)
        const isClosed = node.services !== services || history.isRestored
        const mayEnd = Cause.isInterruptedOnly(exit.cause)
          ? isClosed
          // A reader does not wait for writers.
          : this.isExpected(exit.cause, isClosed || faults.struck.length > 0)
        if (!mayEnd) history.report(`${reader.name} ended by itself: ${Cause.pretty(exit.cause)}`)
      })
    })
  }

  private received(reader: Reader, activity: Activity): void {
    const { history, observer } = this.parts
    reader.seen.push(activity)
    if (!observer.has(activity.position, activity.id)) {
      history.report(`${reader.name} received position ${activity.position} before it was committed`)
    }
  }
}
