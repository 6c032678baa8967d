import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/** Selects the activity log: the events that are activities. */
export const activity = `SELECT position, id, tenant, created_at, activity_type, resource_type, resource_id
    FROM caravel_event WHERE activity_type IS NOT NULL`

/** Creates the journal, the activity log as a view of it, the projections, and the secrets. */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { boolean, byKey, deferrable, integer, isJson, position, strict, text } = yield* words

  yield* sql`CREATE TABLE caravel_event (
    position ${position},
    id ${text} NOT NULL UNIQUE,
    type ${text} NOT NULL,
    activity_type ${text},
    tenant ${text} NOT NULL,
    resource_type ${text} NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id ${text} NOT NULL,
    resource_version ${integer} NOT NULL CHECK (resource_version > 0),
    payload ${text} NOT NULL CHECK (${isJson("payload")}),
    metadata ${text} NOT NULL CHECK (${isJson("metadata")}),
    created_at ${integer} NOT NULL,
    UNIQUE (resource_id, resource_type, resource_version)
  ) ${strict}`
  yield* sql`CREATE INDEX caravel_event_tenant ON caravel_event (tenant) WHERE activity_type IS NOT NULL`

  yield* sql`CREATE VIEW caravel_activity AS
    ${sql.literal(activity)}`

  yield* sql`CREATE TABLE caravel_secret (
    id ${text} PRIMARY KEY,
    value ${text} NOT NULL
  ) ${byKey}`

  yield* sql`CREATE TABLE caravel_tenant (
    pubkey ${text} PRIMARY KEY,
    nwc_url ${text} REFERENCES caravel_secret (id)${deferrable},
    nwc_error ${text},
    stripe_customer_id ${text},
    stripe_subscription_id ${text},
    past_due_at ${integer},
    created_at ${integer} NOT NULL,
    version ${integer} NOT NULL CHECK (version > 0)
  ) ${byKey}`
  yield* sql`CREATE INDEX caravel_tenant_nwc_url ON caravel_tenant (nwc_url) WHERE nwc_url IS NOT NULL`

  yield* sql`CREATE TABLE caravel_relay (
    id ${text} PRIMARY KEY,
    tenant ${text} NOT NULL REFERENCES caravel_tenant (pubkey)${deferrable},
    subdomain ${text} NOT NULL UNIQUE,
    plan ${text} NOT NULL,
    info_name ${text} NOT NULL,
    info_icon ${text} NOT NULL,
    info_description ${text} NOT NULL,
    policy_public_join ${boolean("policy_public_join")},
    policy_strip_signatures ${boolean("policy_strip_signatures")},
    groups_enabled ${boolean("groups_enabled")},
    management_enabled ${boolean("management_enabled")},
    blossom_enabled ${boolean("blossom_enabled")},
    livekit_enabled ${boolean("livekit_enabled")},
    push_enabled ${boolean("push_enabled")},
    status ${text} NOT NULL CHECK (status IN ('active', 'inactive', 'delinquent')),
    synced ${boolean("synced")},
    sync_error ${text} NOT NULL,
    stripe_subscription_item_id ${text},
    created_at ${integer} NOT NULL,
    version ${integer} NOT NULL CHECK (version > 0)
  ) ${byKey}`
  yield* sql`CREATE INDEX caravel_relay_tenant ON caravel_relay (tenant)`
})
