import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * Durable consumers: how far each is, who may run it, and what it has put aside.
 *
 * @since 0.1.0
 * @category migrations
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql`CREATE TABLE consumer (
    name TEXT PRIMARY KEY,
    position INTEGER NOT NULL CHECK (position >= 0),
    filter TEXT NOT NULL CHECK (json_valid(filter)),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    failed_position INTEGER,
    last_error TEXT,
    progressed_at INTEGER,
    replays_requested INTEGER NOT NULL DEFAULT 0,
    replays_done INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID`

  yield* sql`CREATE TABLE lease (
    consumer TEXT NOT NULL REFERENCES consumer (name),
    task TEXT NOT NULL CHECK (task IN ('run', 'replay')),
    fence INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    owner TEXT,
    PRIMARY KEY (consumer, task)
  ) STRICT, WITHOUT ROWID`

  yield* sql`CREATE TABLE parked (
    consumer TEXT NOT NULL REFERENCES consumer (name),
    position INTEGER NOT NULL REFERENCES event (position),
    resource_type TEXT NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    error TEXT,
    parked_at INTEGER NOT NULL,
    PRIMARY KEY (consumer, position)
  ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX parked_resource ON parked (consumer, resource_type, resource_id)`
})
