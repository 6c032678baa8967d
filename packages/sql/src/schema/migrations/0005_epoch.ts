import { currentInstant, makeEpoch } from "@caravel/domain/adapter"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { words } from "../Ddl.js"

/**
 * Creates the epochs of the journal, each with the position where it begins. A consumer's checkpoint belongs to an
 * epoch.
 */
export default Effect.gen(function*() {
  const sql = yield* SqlClient
  const { deferrable, integer, number, strict, text } = yield* words

  yield* sql`CREATE TABLE caravel_epoch (
    number ${number},
    epoch ${text} NOT NULL UNIQUE,
    position ${integer} NOT NULL CHECK (position >= 0),
    started_at ${integer} NOT NULL
  ) ${strict}`
  const epoch = yield* makeEpoch
  yield* sql`INSERT INTO caravel_epoch (epoch, position, started_at) VALUES (${epoch}, 0, ${
    (yield* currentInstant).epochMillis
  })`

  yield* sql`ALTER TABLE caravel_consumer ADD COLUMN epoch ${text} REFERENCES caravel_epoch (epoch)${deferrable}`
  yield* sql`UPDATE caravel_consumer SET epoch = ${epoch}`
})
