import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Creates the outcomes of commands with an idempotency key: the positions of their events, or the refusal. Key and
 * command are stored as hashes only. Both hashes include the key, so that a command's contents cannot be guessed from
 * them.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { byKey, deferrable, integer, isJson, text } = yield* words

  yield* sql`CREATE TABLE caravel_idempotency (
    id ${text} PRIMARY KEY,
    identity ${text} NOT NULL,
    position ${integer} REFERENCES caravel_event (position)${deferrable},
    events ${integer} NOT NULL CHECK (events >= 0),
    refusal ${text} CHECK (refusal IS NULL OR ${isJson("refusal")}),
    created_at ${integer} NOT NULL,
    CHECK ((position IS NULL) = (refusal IS NOT NULL))
  ) ${byKey}`
  yield* sql`CREATE INDEX caravel_idempotency_created_at ON caravel_idempotency (created_at)`
})
