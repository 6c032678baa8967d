import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Creates the tables of imports and of the rows that they refuse. The index of a tenant's events includes
 * `RelayReconciled`: changes that an import finds beyond the activities affect usage too.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { byKey, deferrable, integer, text } = yield* words

  yield* sql`CREATE TABLE caravel_import (
    id ${text} PRIMARY KEY,
    source ${text} NOT NULL,
    items ${integer} NOT NULL CHECK (items >= 0),
    activities ${integer} NOT NULL,
    tenants ${integer} NOT NULL,
    relays ${integer} NOT NULL,
    refused ${integer} NOT NULL,
    renamed ${integer} NOT NULL,
    events ${integer} NOT NULL,
    started_at ${integer} NOT NULL,
    finished_at ${integer}
  ) ${byKey}`

  yield* sql`CREATE TABLE caravel_import_refusal (
    import ${text} NOT NULL REFERENCES caravel_import (id)${deferrable},
    item ${integer} NOT NULL,
    table_name ${text} NOT NULL CHECK (table_name IN ('tenant', 'relay', 'activity')),
    key ${text} NOT NULL,
    kind ${text} NOT NULL,
    reason ${text} NOT NULL,
    PRIMARY KEY (import, item)
  ) ${byKey}`

  yield* sql`DROP INDEX caravel_event_tenant`
  yield* sql`CREATE INDEX caravel_event_tenant ON caravel_event (tenant)
    WHERE activity_type IS NOT NULL OR type = 'RelayReconciled'`
})
