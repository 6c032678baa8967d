import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * Has a transaction on PostgreSQL fail if the journal is in another epoch, and until its end has whoever would begin another
 * one wait. On SQLite only one writes at a time, and a look at the table does.
 */
export default Effect.flatMap(SqlClient, (sql) =>
  sql.onDialectOrElse({
    pg: () =>
      sql`CREATE FUNCTION caravel_in_epoch(expected text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock_shared('caravel_event'::regclass::oid::int, 1);
        IF expected IS DISTINCT FROM (SELECT epoch FROM caravel_epoch WHERE number > 0 ORDER BY number DESC LIMIT 1) THEN
          RAISE EXCEPTION USING ERRCODE = 'ZEPOC',
            MESSAGE = 'the database was restored from a backup, or copied to, while it was open';
        END IF;
      END $$`,
    orElse: () => Effect.succeed([])
  }))
