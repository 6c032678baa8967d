import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"
import { unchanged } from "./0003_schema_version.js"

/**
 * Adds to each event the latest instant of the journal up to it, so that this instant is known at every position
 * without a search. It is null if the event itself is the latest.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { integer } = yield* words

  yield* sql`ALTER TABLE caravel_event ADD COLUMN latest_at ${integer}`

  // This is the only change that is ever made to events. It adds only what follows from them.
  yield* sql.onDialectOrElse({
    pg: () => sql`ALTER TABLE caravel_event DISABLE TRIGGER caravel_event_unchanged`,
    orElse: () => sql`DROP TRIGGER caravel_event_unchanged`
  })
  yield* sql`UPDATE caravel_event SET latest_at = past.latest_at
    FROM (SELECT position, max(created_at) OVER (ORDER BY position) AS latest_at FROM caravel_event) AS past
    WHERE past.position = caravel_event.position AND past.latest_at > caravel_event.created_at`
  yield* sql.onDialectOrElse({
    pg: () => sql`ALTER TABLE caravel_event ENABLE TRIGGER caravel_event_unchanged`,
    orElse: () => sql.unsafe(unchanged)
  })
})
