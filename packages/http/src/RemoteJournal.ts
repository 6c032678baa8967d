/** Reads of a host's journal. Feeds and the past are built on them, as beside a database. */
import { type Journal, StorageError } from "@caravel/domain"
import { Array as Arr, DateTime, Effect, Stream } from "effect"
import { allPages, called, type Connection } from "./Connection.js"

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
      allPages(
        { after, limit },
        ({ cursor = after, limit }) =>
          Effect.map(
            routes.events({ urlParams: { after: cursor, limit } }),
            following(limit, ({ position }) => position)
          )
      )
        .pipe(called("events", options)),
    readTenant: (pubkey, after, limit) =>
      allPages({ after, limit }, ({ cursor = after, limit }) =>
        Effect.map(
          routes.meteredEvents({ path: { pubkey }, urlParams: { after: cursor, limit } }),
          following(limit, ({ position }) => position)
        )).pipe(called("meteredEvents", options)),
    readResource: ({ resourceId, resourceType }, after, limit) =>
      allPages({ after, limit }, ({ cursor = after, limit }) => {
        const urlParams = { after: cursor, limit }
        return Effect.map(
          resourceType === "tenant"
            ? routes.tenantEvents({ path: { pubkey: resourceId }, urlParams })
            : routes.relayEvents({ path: { id: resourceId }, urlParams }),
          following(limit, ({ version }) => version)
        )
      }).pipe(called("resourceEvents", options)),
    at: () => unused("at"),
    verify: Stream.fail(unused("verify")),
    rebuild: () => unused("rebuild")
  }
}

/** A page, and where the next one begins, if this one is full. */
const following =
  <Item>(limit: number, keyOf: (item: Item) => number) => ({ items }: { readonly items: ReadonlyArray<Item> }) => {
    const last = items.length < limit ? undefined : items.at(-1)
    return { items, cursor: last === undefined ? undefined : keyOf(last) }
  }
