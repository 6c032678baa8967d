import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Creates the index by which activities of rare types are found without reading all others. On PostgreSQL, new pages of
 * rows that are updated keep room for their next versions, so that no index has to be written and the table stays small,
 * and the planner's statistics have no samples of wallet URLs: setting the column's type removes those that it had.
 */
const tune = Effect.gen(function*() {
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

const refusal = "the secrets of this database are encrypted: open it with their keys"

/** Marks the last epoch. While a copy is unfinished, the numbers of epochs are negative. */
const mark = (table: string, keyId: string) =>
  `UPDATE ${table} SET secret_key_id = ${keyId} WHERE abs(number) = (SELECT max(abs(number)) FROM ${table})`

/**
 * Marks the epoch in which the first secret was encrypted, with the id of its key. From then on secrets in clear are
 * rejected, even if no encrypted secret is left. Copies and restores have the mark, as they copy epochs; until they have
 * finished, no epoch has a positive number, and their secrets in clear are accepted.
 */
const markEncryption = Effect.gen(function*() {
  const sql = yield* SqlClient
  const { text } = yield* words
  yield* sql`ALTER TABLE caravel_epoch ADD COLUMN secret_key_id ${text}`
  yield* sql.unsafe(mark("caravel_epoch", "(SELECT min(key_id) FROM caravel_secret)"))
  yield* sql`DROP TRIGGER caravel_secret_encrypted ${sql.literal(on(sql))}`
  yield* sql.onDialectOrElse({ pg: () => triggersPostgres, orElse: () => triggersSqlite })
})

const on = (sql: SqlClient) => sql.onDialectOrElse({ pg: () => "ON caravel_secret", orElse: () => "" })

/** A secret that a tenant already refers to is not new: a purge writes it again. */
const triggersSqlite = Effect.gen(function*() {
  const sql = yield* SqlClient
  const marked = "SELECT 1 FROM caravel_epoch WHERE secret_key_id IS NOT NULL"
  yield* sql.unsafe(`CREATE TRIGGER caravel_secret_encrypted BEFORE INSERT ON caravel_secret
    WHEN new.key_id IS NULL AND EXISTS (${marked} AND number > 0)
      AND NOT EXISTS (SELECT 1 FROM caravel_tenant WHERE nwc_url = new.id) BEGIN
    SELECT RAISE(ABORT, '${refusal}');
  END`)
  for (const [name, event] of [["first", "INSERT"], ["rotated", "UPDATE OF key_id"]] as const) {
    yield* sql.unsafe(`CREATE TRIGGER caravel_secret_${name} AFTER ${event} ON caravel_secret
    WHEN new.key_id IS NOT NULL AND NOT EXISTS (${marked}) BEGIN
    ${mark("caravel_epoch", "new.key_id")};
  END`)
  }
})

/**
 * The trigger names tables by the schema of its own, so that it also works in a session with another `search_path`. It
 * accepts secrets in clear where that is empty: then a dump is being loaded, in any order, and the server would show the
 * rejected row in the error's context. Caravel's own sessions are never like that.
 */
const triggersPostgres = Effect.gen(function*() {
  const sql = yield* SqlClient
  yield* sql.unsafe(`CREATE OR REPLACE FUNCTION caravel_secret_is_encrypted() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      epochs text := format('%I.caravel_epoch', TG_TABLE_SCHEMA);
      is_marked boolean;
    BEGIN
      EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s WHERE secret_key_id IS NOT NULL AND (number > 0 OR $1))', epochs)
        INTO is_marked USING new.key_id IS NOT NULL;
      IF new.key_id IS NOT NULL THEN
        IF NOT is_marked THEN
          EXECUTE format('${mark("%1$s", "$1")}', epochs) USING new.key_id;
        END IF;
      ELSIF is_marked AND TG_OP = 'INSERT' AND trim('"' FROM current_setting('search_path')) <> '' THEN
        RAISE EXCEPTION '${refusal}';
      END IF;
      RETURN new;
    END $$`)
  yield* sql`CREATE TRIGGER caravel_secret_encrypted BEFORE INSERT OR UPDATE OF key_id ON caravel_secret
    FOR EACH ROW EXECUTE FUNCTION caravel_secret_is_encrypted()`
})

/** Tunes both databases, and makes the encryption of secrets final. */
export default Effect.zipRight(tune, markEncryption)
