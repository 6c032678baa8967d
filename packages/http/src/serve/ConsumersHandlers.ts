/** The handlers of durable consumers. */
import { withoutSecrets } from "@caravel/domain/adapter"
import { Consumer } from "@caravel/pubsub"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect, Schema } from "effect"
import { Api } from "../api/Api.js"
import * as Page from "../api/Page.js"
import { Reset } from "../api/Parameters.js"
import { ConsumerNotRunning, NotParked } from "../api/RequestError.js"
import * as Body from "./Body.js"
import { valid } from "./Failure.js"

/** A handler's error may quote its input. */
const safe = (error: string | null) => error === null ? null : withoutSecrets(error)

const lagView = (lag: Consumer.Lag): Consumer.Lag => ({ ...lag, lastError: safe(lag.lastError) })

const lagOf = (name: string) => Effect.map(Consumer.lag(name), lagView)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = HttpApiBuilder.group(Api, "consumers", (handlers) =>
  handlers
    .handle("consumers", () => Effect.map(Consumer.list, (lags) => ({ items: lags.map(lagView) })))
    .handle("consumer", ({ path: { name } }) => lagOf(name))
    .handle("replay", ({ path: { name } }) =>
      Effect.gen(function*() {
        const { owner } = yield* Consumer.lag(name)
        if (owner === null) return yield* new ConsumerNotRunning({ consumer: name })
        // This is no handler, so it cannot wait for itself.
        yield* Effect.catchTag(Consumer.requestReplay(name), "ConsumerWaitsForItself", Effect.die)
        return yield* lagOf(name)
      }))
    .handleRaw("reset", ({ path: { name }, request }) =>
      Effect.gen(function*() {
        const body = yield* Body.json(request)
        const { position, ...epoch } = yield* Schema.decodeUnknown(Reset, { onExcessProperty: "error" })(body)
        yield* Consumer.reset(name, position, epoch)
        return yield* lagOf(name)
      }).pipe(valid))
    .handle("parked", ({ path: { name }, urlParams: { cursor, limit } }) =>
      Effect.gen(function*() {
        const rows = yield* Consumer.parked(name, { after: cursor, limit: limit + 1 })
        return Page.of(
          rows,
          limit,
          (row) => ({ ...row, error: safe(row.error) }),
          ({ activity }) => String(activity.position)
        )
      }).pipe(valid))
    .handle("drop", ({ path: { name, position } }) =>
      Effect.gen(function*() {
        const dropped = yield* Consumer.drop(name, [position])
        if (dropped === 0) return yield* new NotParked({ consumer: name, position })
      }).pipe(valid)))
