/** The handlers of the past. */
import { History, RelayNotFound, TenantNotFound } from "@caravel/domain"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Chunk, Effect, Stream } from "effect"
import { Api } from "../api/Api.js"
import { Identity } from "../api/Identity.js"
import * as Page from "../api/Page.js"
import type * as Parameters from "../api/Parameters.js"
import { InvalidRequest } from "../api/RequestError.js"
import { valid } from "./Failure.js"

/** A page of a resource's events. There are none at all if it never existed. */
const eventsOf = Effect.fnUntraced(function*<E>(
  resourceType: "tenant" | "relay",
  resourceId: string,
  { cursor, limit, order }: typeof Parameters.History.Type,
  missing: E
) {
  const history = yield* History
  const read = history.events({ resourceType, resourceId }, { after: cursor, limit: limit + 1, order })
  const entries = Chunk.toReadonlyArray(yield* Stream.runCollect(read))
  if (entries.length === 0 && cursor === undefined) return yield* Effect.fail(missing)
  return Page.of(entries, limit, (entry) => entry, ({ event }) => String(event.version))
})

const incomplete = new InvalidRequest({
  issues: [{ path: "resourceId", message: "A resource needs both resourceType and resourceId" }]
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = HttpApiBuilder.group(Api, "history", (handlers) =>
  handlers
    .handle("tenantHistory", ({ path: { pubkey }, urlParams }) =>
      Effect.gen(function*() {
        const missing = new TenantNotFound({ pubkey })
        if (urlParams.at === undefined) return yield* eventsOf("tenant", pubkey, urlParams, missing)
        const state = yield* (yield* History).tenant(pubkey, urlParams.at)
        return yield* Effect.mapError(state, () => missing)
      }).pipe(valid))
    .handle("relayHistory", ({ path: { id }, urlParams }) =>
      Effect.gen(function*() {
        const missing = new RelayNotFound({ id })
        if (urlParams.at === undefined) return yield* eventsOf("relay", id, urlParams, missing)
        const state = yield* (yield* History).relay(id, urlParams.at)
        return yield* Effect.mapError(state, () => missing)
      }).pipe(valid))
    .handle("diff", ({ urlParams: { from, resourceId, resourceType, to } }) =>
      Effect.gen(function*() {
        const history = yield* History
        if (resourceType === undefined && resourceId === undefined) return { items: yield* history.diff(from, to) }
        if (resourceType === undefined || resourceId === undefined) return yield* incomplete
        return { items: yield* history.diff(from, to, { resourceType, resourceId }) }
      }).pipe(valid))
    .handle("usage", ({ path: { pubkey }, urlParams: { from, to } }) =>
      Effect.gen(function*() {
        const { tenant } = yield* Identity
        // Of others there is nothing to see, as if they did not exist.
        if (tenant !== undefined && tenant !== pubkey) return { items: [] }
        const history = yield* History
        return { items: yield* history.usage(pubkey, from, to) }
      }).pipe(valid)))
