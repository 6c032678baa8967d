import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * Creates a function on PostgreSQL that fails if the journal is in another epoch. It takes a shared lock until the end
 * of the transaction, so that no new epoch begins meanwhile. SQLite has one writer at a time, so a query of the table
 * is enough.
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
