import { Query } from "@caravel/domain"
import { Array as Arr, Effect, Layer } from "effect"
import { Database } from "../database/Database.js"
import { activitiesWhere, type Clause, relaysWhere, tenantsWhere } from "./Where.js"

/** Queries of the projections and the view `caravel_activity`. */
export const layer: Layer.Layer<Query, never, Database> = Layer.effect(
  Query,
  Effect.map(Database, ({ readInTransaction, tables }) => {
    const activity = `SELECT ${tables.activity.columns()} FROM caravel_activity`

    const tenants = (operation: string, [clause, params]: Clause) =>
      readInTransaction(
        `Query.${operation}`,
        `${tables.tenant.models.select} ${clause}`,
        params,
        tables.tenant.models.decode
      )
    const relays = (operation: string, [clause, params]: Clause) =>
      readInTransaction(
        `Query.${operation}`,
        `${tables.relay.models.select} ${clause}`,
        params,
        tables.relay.models.decode
      )

    return Query.make({
      tenant: (pubkey) => Effect.map(tenants("tenant", ["WHERE pubkey = ?", [pubkey]]), Arr.head),
      findTenants: (filter) => tenants("findTenants", tenantsWhere(filter)),
      relay: (id) => Effect.map(relays("relay", ["WHERE id = ?", [id]]), Arr.head),
      relayBySubdomain: (subdomain) =>
        Effect.map(relays("relayBySubdomain", ["WHERE subdomain = ?", [subdomain]]), Arr.head),
      findRelays: (filter) => relays("findRelays", relaysWhere(filter)),
      activity: (filter) => {
        const [clause, params] = activitiesWhere(filter)
        return readInTransaction("Query.activity", `${activity} ${clause}`, params, tables.activity.decode)
      }
    })
  })
)
