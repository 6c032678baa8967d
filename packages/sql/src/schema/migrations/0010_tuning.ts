import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Creates the index by which activities of rare types are found without reading all others. On PostgreSQL, new pages of
 * rows that are updated keep room for their next versions, so that no index has to be written and the table stays small,
 * and the planner's statistics have no samples of wallet URLs: setting the column's type removes those that it had.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { text } = yield* words
  // The entries of SQLite's indexes are in order of their rows' positions.
  const columns = sql.onDialectOrElse({ pg: () => "activity_type, position", orElse: () => "activity_type" })
  yield* sql`CREATE INDEX caravel_event_activity_type ON caravel_event (${sql.literal(columns)})
    WHERE activity_type IS NOT NULL`
  yield* sql.onDialectOrElse({
    pg: () =>
      Effect.all([
        sql`ALTER TABLE caravel_tenant SET (fillfactor = 70)`,
        sql`ALTER TABLE caravel_relay SET (fillfactor = 70)`,
        sql`ALTER TABLE caravel_secret ALTER value SET STATISTICS 0, ALTER value TYPE ${text}`
      ]),
    orElse: () => Effect.void
  })
})
