import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"

/**
 * The outcomes of commands that were sent with a key: where their events are, or why they were refused. Key and command are
 * there as hashes only, both of the key, so that nobody can guess from them what a command carried.
 *
 * @since 0.1.0
 * @category migrations
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient

  yield* sql`CREATE TABLE idempotency (
    id TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    position INTEGER REFERENCES event (position),
    events INTEGER NOT NULL CHECK (events >= 0),
    refusal TEXT CHECK (refusal IS NULL OR json_valid(refusal)),
    created_at INTEGER NOT NULL,
    CHECK ((position IS NULL) = (refusal IS NOT NULL))
  ) STRICT, WITHOUT ROWID`
  yield* sql`CREATE INDEX idempotency_created_at ON idempotency (created_at)`
})
