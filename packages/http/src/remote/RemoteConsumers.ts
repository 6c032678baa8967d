/** The consumers of a host: how far they are, and what can be done about failures. Only a database can run one. */
import { Position, StorageError } from "@caravel/domain"
import type { Consumer } from "@caravel/pubsub"
import { Cause, Effect, Option, Schema } from "effect"
import { Reset } from "../api/Parameters.js"
import { allAfter, called, type Connection } from "./Connection.js"

const decodePosition = Schema.decode(Position)

const unanswered: ReadonlySet<string> = new Set(["RequestError", "ResponseError", "TimedOut"])

const decodeReset = Schema.decode(Reset)

/**
 * Everything but running consumers, and waiting for them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ client: { consumers: routes }, options }: Connection): Consumer.Service => {
  const unused = (operation: string) =>
    new StorageError({ reason: "other", operation, cause: new Error("only beside the database") })

  /**
   * The client encodes no parameter of a path, and no path of a URL can have one or two dots as a part. Instead of such a
   * name, and of one that would be another route or no text, this sends one that no consumer can have.
   */
  const at = (name: string) => ({
    name: /^\.{0,2}$|\p{Surrogate}/u.test(name) ? "-".repeat(257) : encodeURIComponent(name)
  })

  const parked: Consumer.Service["parked"] = (name, { after = 0, limit } = {}) =>
    Effect.flatMap(
      decodePosition(after),
      (after) =>
        allAfter(after, limit, ({ activity }) =>
          activity.position, ({ after, limit }) =>
          routes.parked({ path: at(name), urlParams: { cursor: after, limit } }).pipe(called("parked", options)))
    )

  const drop = (name: string) => (position: Position) =>
    Effect.suspend(() => {
      let isLost = false
      return routes.drop({ path: { ...at(name), position } }).pipe(
        // Without an answer, an attempt may have dropped it.
        Effect.onError((cause) =>
          Effect.sync(() => {
            const tag = Option.getOrUndefined(Cause.failureOption(cause))?._tag
            if (tag === undefined || unanswered.has(tag)) isLost = true
          })
        ),
        Effect.as(1),
        Effect.catchTag("NotParked", () => Effect.succeed(isLost ? 1 : 0)),
        called("drop", options)
      )
    })

  return {
    run: () => unused("run"),
    start: () => unused("start"),
    handleOnce: () => unused("handleOnce"),
    replay: () => unused("replay"),
    awaitPosition: () => unused("awaitPosition"),
    ready: unused("ready"),
    fatal: unused("fatal"),
    list: Effect.map(routes.consumers({}).pipe(called("consumers", options)), ({ items }) => items),
    lag: (name) => routes.consumer({ path: at(name) }).pipe(called("consumer", options)),
    parked,
    // Each request is another replay, which handles again what has failed again, so none is repeated.
    requestReplay: (name) =>
      Effect.asVoid(routes.replay({ path: at(name) }).pipe(called("replay", { ...options, retryFor: 0 }))),
    drop: (name, positions) =>
      Effect.gen(function*() {
        const dropped = positions === undefined
          ? (yield* parked(name)).map(({ activity }) => activity.position)
          : yield* Effect.forEach(positions, (position) => decodePosition(position))
        const counts = yield* Effect.forEach(dropped, drop(name), { concurrency: 4 })
        return counts.reduce((sum, count) => sum + count, 0)
      }),
    reset: (name, position, { epoch } = {}) =>
      Effect.flatMap(
        decodeReset({ position, ...(epoch === undefined ? {} : { epoch }) }),
        (payload) => Effect.asVoid(routes.reset({ path: at(name), payload }).pipe(called("reset", options)))
      )
  }
}
