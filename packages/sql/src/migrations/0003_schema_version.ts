import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * Events say by which version of their schema they were written, and are never changed or deleted, by whomever.
 *
 * @since 0.1.0
 * @category migrations
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql`ALTER TABLE event ADD COLUMN schema_version INTEGER NOT NULL DEFAULT 1 CHECK (schema_version > 0)`

  yield* sql`CREATE TRIGGER event_unchanged BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed');
  END`
  yield* sql`CREATE TRIGGER event_undeleted BEFORE DELETE ON event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never deleted');
  END`
})
