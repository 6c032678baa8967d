import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/** Creates the trigger that forbids changes of events, on SQLite. */
export const unchanged = `CREATE TRIGGER caravel_event_unchanged BEFORE UPDATE ON caravel_event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never changed');
  END`

/** Adds the schema version of events, and triggers that forbid changing or deleting an event. */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  const { integer } = yield* words

  yield* sql`ALTER TABLE caravel_event ADD COLUMN schema_version ${integer} NOT NULL DEFAULT 1 CHECK (schema_version > 0)`

  yield* sql.onDialectOrElse({
    pg: () =>
      Effect.zipRight(
        sql`CREATE FUNCTION caravel_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          RAISE EXCEPTION 'the journal is append-only: an event is never %', CASE TG_OP
            WHEN 'UPDATE' THEN 'changed' ELSE 'deleted' END;
        END $$`,
        sql`CREATE TRIGGER caravel_event_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON caravel_event
          FOR EACH STATEMENT EXECUTE FUNCTION caravel_event_is_append_only()`
      ),
    orElse: () =>
      Effect.zipRight(
        sql.unsafe(unchanged),
        sql`CREATE TRIGGER caravel_event_undeleted BEFORE DELETE ON caravel_event BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an event is never deleted');
  END`
      )
  })
})
