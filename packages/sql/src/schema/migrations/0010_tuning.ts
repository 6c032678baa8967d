import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * Creates the index by which activities of rare types are found without reading all others. On PostgreSQL, new pages of
 * rows that are updated keep room for their next versions, so that no index has to be written and the table stays small.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  // The entries of SQLite's indexes are in order of their rows' positions.
  const columns = sql.onDialectOrElse({ pg: () => "activity_type, position", orElse: () => "activity_type" })
  yield* sql`CREATE INDEX caravel_event_activity_type ON caravel_event (${sql.literal(columns)})
    WHERE activity_type IS NOT NULL`
  yield* sql.onDialectOrElse({
    pg: () =>
      Effect.forEach(
        ["caravel_tenant", "caravel_relay"],
        (table) => sql`ALTER TABLE ${sql(table)} SET (fillfactor = 70)`
      ),
    orElse: () => Effect.void
  })
})
