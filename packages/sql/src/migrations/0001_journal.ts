import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * The journal, the log that is a view of it, the projections, and the secrets beside it.
 *
 * @since 0.1.0
 * @category migrations
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql`CREATE TABLE event (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    activity_type TEXT,
    tenant TEXT NOT NULL,
    resource_type TEXT NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id TEXT NOT NULL,
    resource_version INTEGER NOT NULL CHECK (resource_version > 0),
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    created_at INTEGER NOT NULL,
    UNIQUE (resource_id, resource_type, resource_version)
  ) STRICT`
  yield* sql`CREATE INDEX event_tenant ON event (tenant) WHERE activity_type IS NOT NULL`

  yield* sql`CREATE VIEW activity AS
    SELECT position, id, tenant, created_at, activity_type, resource_type, resource_id
    FROM event WHERE activity_type IS NOT NULL`

  yield* sql`CREATE TABLE secret (
    id TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`

  yield* sql`CREATE TABLE tenant (
    pubkey TEXT PRIMARY KEY,
    nwc_url TEXT REFERENCES secret (id),
    nwc_error TEXT,
    stripe_customer_id TEXT,
    stripe_subscription_id TEXT,
    past_due_at INTEGER,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0)
  ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX tenant_nwc_url ON tenant (nwc_url) WHERE nwc_url IS NOT NULL`

  yield* sql`CREATE TABLE relay (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL REFERENCES tenant (pubkey),
    subdomain TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    info_name TEXT NOT NULL,
    info_icon TEXT NOT NULL,
    info_description TEXT NOT NULL,
    policy_public_join INTEGER NOT NULL CHECK (policy_public_join IN (0, 1)),
    policy_strip_signatures INTEGER NOT NULL CHECK (policy_strip_signatures IN (0, 1)),
    groups_enabled INTEGER NOT NULL CHECK (groups_enabled IN (0, 1)),
    management_enabled INTEGER NOT NULL CHECK (management_enabled IN (0, 1)),
    blossom_enabled INTEGER NOT NULL CHECK (blossom_enabled IN (0, 1)),
    livekit_enabled INTEGER NOT NULL CHECK (livekit_enabled IN (0, 1)),
    push_enabled INTEGER NOT NULL CHECK (push_enabled IN (0, 1)),
    status TEXT NOT NULL CHECK (status IN ('active', 'inactive', 'delinquent')),
    synced INTEGER NOT NULL CHECK (synced IN (0, 1)),
    sync_error TEXT NOT NULL,
    stripe_subscription_item_id TEXT,
    created_at INTEGER NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0)
  ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX relay_tenant ON relay (tenant)`
})
