import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Adds the key that a secret is encrypted with. Once a secret is encrypted, a trigger rejects secrets in clear, which a
 * process without the keys would insert.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  const { text } = yield* words

  yield* sql`ALTER TABLE caravel_secret ADD COLUMN key_id ${text}`
  yield* sql`CREATE INDEX caravel_secret_key_id ON caravel_secret (key_id)`

  yield* sql.onDialectOrElse({
    pg: () =>
      Effect.zipRight(
        sql`CREATE FUNCTION caravel_secret_is_encrypted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF new.key_id IS NULL AND EXISTS (SELECT 1 FROM caravel_secret WHERE key_id IS NOT NULL) THEN
            RAISE EXCEPTION 'the secrets of this database are encrypted: open it with their keys';
          END IF;
          RETURN new;
        END $$`,
        sql`CREATE TRIGGER caravel_secret_encrypted BEFORE INSERT ON caravel_secret
          FOR EACH ROW EXECUTE FUNCTION caravel_secret_is_encrypted()`
      ),
    orElse: () =>
      sql`CREATE TRIGGER caravel_secret_encrypted BEFORE INSERT ON caravel_secret
    WHEN new.key_id IS NULL AND EXISTS (SELECT 1 FROM caravel_secret WHERE key_id IS NOT NULL) BEGIN
    SELECT RAISE(ABORT, 'the secrets of this database are encrypted: open it with their keys');
  END`
  })
})
