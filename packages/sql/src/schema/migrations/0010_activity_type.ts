import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/** Creates the index by which activities of rare types are found without reading all others. */
export default Effect.flatMap(SqlClient, (sql) => {
  // The entries of SQLite's indexes are in order of their rows' positions.
  const columns = sql.onDialectOrElse({ pg: () => "activity_type, position", orElse: () => "activity_type" })
  return sql`CREATE INDEX caravel_event_activity_type ON caravel_event (${sql.literal(columns)})
    WHERE activity_type IS NOT NULL`
})
