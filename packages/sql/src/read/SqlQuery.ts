import { Query } from "@caravel/domain"
import { Array as Arr, Effect, Layer } from "effect"
import { Database } from "../database/Database.js"
import { activityWhere } from "./ActivityWhere.js"

/** Queries of the projections and the view `caravel_activity`. */
export const layer: Layer.Layer<Query, never, Database> = Layer.effect(
  Query,
  Effect.map(Database, ({ readInTransaction, rows }) => {
    const activity = `SELECT ${rows.activity.columns()} FROM caravel_activity`

    const tenantsWhere = (operation: string, clause: string, ...params: ReadonlyArray<unknown>) =>
      readInTransaction(
        `Query.${operation}`,
        `${rows.tenant.models.select} ${clause}`,
        params,
        rows.tenant.models.decode
      )
    const relaysWhere = (operation: string, clause: string, ...params: ReadonlyArray<unknown>) =>
      readInTransaction(`Query.${operation}`, `${rows.relay.models.select} ${clause}`, params, rows.relay.models.decode)

    return Query.make({
      tenant: (pubkey) => Effect.map(tenantsWhere("tenant", "WHERE pubkey = ?", pubkey), Arr.head),
      tenants: tenantsWhere("tenants", "ORDER BY pubkey"),
      relay: (id) => Effect.map(relaysWhere("relay", "WHERE id = ?", id), Arr.head),
      relayBySubdomain: (subdomain) =>
        Effect.map(relaysWhere("relayBySubdomain", "WHERE subdomain = ?", subdomain), Arr.head),
      relaysOf: (pubkey) => relaysWhere("relaysOf", "WHERE tenant = ? ORDER BY id", pubkey),
      relays: relaysWhere("relays", "ORDER BY id"),
      activity: ({ limit, ...filter }) => {
        const [clause, params] = activityWhere(filter)
        const statement = `${activity} ${clause} ORDER BY position`
        return limit === undefined
          ? readInTransaction("Query.activity", statement, params, rows.activity.decode)
          : readInTransaction("Query.activity", `${statement} LIMIT ?`, [...params, limit], rows.activity.decode)
      }
    })
  })
)
