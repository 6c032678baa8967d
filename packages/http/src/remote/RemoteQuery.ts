/** Reads of the current state, which a host answers. */
import { Query, Relay, type RelayFilter } from "@caravel/domain"
import { Array as Arr, Effect, Option } from "effect"
import { allAfter, allPages, called, type Connection, present } from "./Connection.js"
import type { WithSecret } from "./RemoteSecret.js"

const many = <A>(one: A | ReadonlyArray<A> | undefined): ReadonlyArray<A> | undefined =>
  one === undefined ? undefined : Arr.ensure(one)

/** A parameter cannot say that nothing matches: without a value it is absent. */
const isNothing = (values: unknown) => Array.isArray(values) && values.length === 0

/**
 * Lists are read in pages, so a list longer than a page is not of one moment.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ client: { queries }, options }: Connection, withSecret: WithSecret): typeof Query.Service => {
  const findRelays = ({ plan, status, synced, tenant, ...page }: RelayFilter) => {
    if (isNothing(plan) || isNothing(status)) return Effect.succeed([])
    const filter = present({ plan: many(plan), status: many(status), synced, tenant })
    return Effect.map(
      allPages(page, (page) => queries.relays({ urlParams: { ...page, ...filter } }).pipe(called("relays", options))),
      Arr.map((view) => Relay.trusted(view))
    )
  }

  return Query.make({
    tenant: (pubkey) =>
      queries.tenant({ path: { pubkey } }).pipe(
        called("tenant", options),
        Effect.flatMap(withSecret),
        Effect.asSome,
        Effect.catchTag("TenantNotFound", () => Effect.succeedNone)
      ),
    findTenants: ({ pastDue, ...page }) =>
      Effect.flatMap(
        allPages(page, (page) =>
          queries.tenants({ urlParams: { ...page, ...present({ pastDue }) } }).pipe(called("tenants", options))),
        (views) =>
          Effect.forEach(views, withSecret, { concurrency: 8 })
      ),
    relay: (id) =>
      queries.relay({ path: { id } }).pipe(
        called("relay", options),
        Effect.map((view) => Option.some(Relay.trusted(view))),
        Effect.catchTag("RelayNotFound", () => Effect.succeedNone)
      ),
    relayBySubdomain: (subdomain) =>
      queries.relays({ urlParams: { subdomain, limit: 1 } }).pipe(
        called("relayBySubdomain", options),
        Effect.map(({ items }) => Option.map(Arr.head(items), Relay.trusted))
      ),
    findRelays,
    activity: ({ activityType, after, limit, ...filter }) => {
      if (isNothing(activityType)) return Effect.succeed([])
      const selection = present({ ...filter, activityType: many(activityType) })
      return allAfter(
        after,
        limit,
        ({ position }) => position,
        (page) => queries.activity({ urlParams: { ...selection, ...page } }).pipe(called("activity", options))
      )
    }
  })
}
