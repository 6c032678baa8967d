/** Reads of a host's journal. Feeds and the past are built on them, as beside a database. */
import { type Journal, type RecordedEvent, StorageError } from "@caravel/domain"
import { Array as Arr, DateTime, Effect, Stream } from "effect"
import { allAfter, called, type Connection } from "./Connection.js"

/**
 * Only the reads that feeds and the past need.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ client: { journal: routes }, options }: Connection): typeof Journal.Service => {
  const journal = routes.journal({}).pipe(called("journal", options))
  const epochs = Effect.map(journal, ({ epochs }) => epochs)
  const unused = (operation: string) =>
    new StorageError({ reason: "other", operation, cause: new Error("only the host can do this") })

  return {
    head: Effect.map(journal, ({ head }) => head),
    epochs,
    epoch: Effect.map(epochs, (epochs) => Arr.lastNonEmpty(epochs).epoch),
    positionAt: (instant) =>
      routes.positionAt({ urlParams: { instant: DateTime.formatIso(instant) } }).pipe(
        called("positionAt", options),
        Effect.map(({ position }) => position)
      ),
    read: (after, limit) =>
      allAfter(after, limit, positionOf, (urlParams) => routes.events({ urlParams }).pipe(called("events", options))),
    readTenant: (pubkey, after, limit) =>
      allAfter(
        after,
        limit,
        positionOf,
        (urlParams) => routes.meteredEvents({ path: { pubkey }, urlParams }).pipe(called("meteredEvents", options))
      ),
    readResource: ({ resourceId, resourceType }, after, limit) =>
      allAfter(after, limit, versionOf, (urlParams) =>
        (resourceType === "tenant"
          ? routes.tenantEvents({ path: { pubkey: resourceId }, urlParams })
          : routes.relayEvents({ path: { id: resourceId }, urlParams })).pipe(called("resourceEvents", options))),
    at: () => unused("at"),
    verify: Stream.fail(unused("verify")),
    rebuild: () => unused("rebuild")
  }
}

const positionOf = ({ position }: RecordedEvent) => position

const versionOf = ({ version }: RecordedEvent): number => version
