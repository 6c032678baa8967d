import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/** Creates the tables of durable consumers: checkpoints, leases and parked activities. */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { byKey, deferrable, integer, isJson, text } = yield* words

  yield* sql`CREATE TABLE caravel_consumer (
    name ${text} PRIMARY KEY,
    position ${integer} NOT NULL CHECK (position >= 0),
    filter ${text} NOT NULL CHECK (${isJson("filter")}),
    attempts ${integer} NOT NULL CHECK (attempts >= 0),
    failed_position ${integer},
    last_error ${text},
    progressed_at ${integer},
    replays_requested ${integer} NOT NULL DEFAULT 0,
    replays_done ${integer} NOT NULL DEFAULT 0
  ) ${byKey}`

  yield* sql`CREATE TABLE caravel_lease (
    consumer ${text} NOT NULL REFERENCES caravel_consumer (name)${deferrable},
    task ${text} NOT NULL CHECK (task IN ('run', 'replay')),
    fence ${integer} NOT NULL,
    heartbeat ${integer} NOT NULL,
    owner ${text},
    PRIMARY KEY (consumer, task)
  ) ${byKey}`

  yield* sql`CREATE TABLE caravel_parked (
    consumer ${text} NOT NULL REFERENCES caravel_consumer (name)${deferrable},
    position ${integer} NOT NULL REFERENCES caravel_event (position)${deferrable},
    resource_type ${text} NOT NULL CHECK (resource_type IN ('tenant', 'relay')),
    resource_id ${text} NOT NULL,
    attempts ${integer} NOT NULL CHECK (attempts >= 0),
    error ${text},
    parked_at ${integer} NOT NULL,
    PRIMARY KEY (consumer, position)
  ) ${byKey}`
  yield* sql`CREATE INDEX caravel_parked_resource ON caravel_parked (consumer, resource_type, resource_id)`
})
