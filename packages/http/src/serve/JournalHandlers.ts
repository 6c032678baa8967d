/** The handlers of the journal's routes. */
import { History, Journal, Position } from "@caravel/domain"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import { Effect } from "effect"
import { Api } from "../api/Api.js"
import { valid } from "./Failure.js"

/** Answers a page with the events that a read of the journal returns. */
const page = <A, E>(read: (journal: typeof Journal.Service) => Effect.Effect<A, E>) =>
  Effect.map(Effect.flatMap(Journal, read), (items) => ({ items }))

const start = Position.make(0)

/**
 * The journal, as far as it can be read from elsewhere.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = HttpApiBuilder.group(Api, "journal", (handlers) =>
  handlers
    .handle("journal", () =>
      Effect.flatMap(Journal, (journal) => Effect.all({ head: journal.head, epochs: journal.epochs })))
    .handle("positionAt", ({ urlParams: { instant } }) =>
      Effect.flatMap(History, (history) =>
        history.position(instant)).pipe(
          valid,
          Effect.catchTag("PositionAhead", Effect.die),
          Effect.map((position) => ({ position }))
        ))
    .handle("events", ({ urlParams: { after = start, limit, position } }) =>
      page((journal) =>
        position === undefined ? journal.read(after, limit) : journal.at(position)
      ))
    .handle("tenantEvents", ({ path: { pubkey }, urlParams: { after, limit } }) =>
      page((journal) =>
        journal.readResource({ resourceType: "tenant", resourceId: pubkey }, after, limit)
      ))
    .handle("relayEvents", ({ path: { id }, urlParams: { after, limit } }) =>
      page((journal) =>
        journal.readResource({ resourceType: "relay", resourceId: id }, after, limit)
      ))
    .handle("meteredEvents", ({ path: { pubkey }, urlParams: { after = start, limit } }) =>
      page((journal) =>
        journal.readTenant(pubkey, after, limit)
      )))
