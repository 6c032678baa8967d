import * as Reactivity from "@effect/experimental/Reactivity"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Redacted } from "effect"
import * as Live from "../Live.js"
import { execute } from "../PostgresSchema.js"
import type { PostgresSubject } from "../PostgresSubject.js"
import * as NaiveEffect from "./NaiveEffect.js"

/** A plain sequence for positions. */
const prepare = (url: string) =>
  execute(
    url,
    "CREATE SEQUENCE position",
    "SELECT setval('position', (SELECT max(position) FROM caravel_event))",
    "ALTER TABLE caravel_event ALTER position SET DEFAULT nextval('position')"
  )

const make = (description: string, lock?: string): PostgresSubject => ({
  description,
  prepare,
  open: ({ url }) =>
    Effect.gen(function*() {
      const sql = yield* PgClient.make({ url: Redacted.make(url) })
      return yield* Live.session(
        yield* NaiveEffect.over(sql, {
          forUpdate: "FOR UPDATE",
          ...(lock !== undefined && { begin: sql.unsafe(lock) })
        })
      )
    }).pipe(Effect.provide(Reactivity.layer), Effect.orDie)
})

/**
 * The client of `@effect/sql` as its documentation uses it. Positions come from a sequence. They are not in commit
 * order, so that a reader that continues after a position misses events.
 */
export const subject = make(
  "@effect/sql-pg: sql.withTransaction for each command, then PubSub.publish; loses the order"
)

/** The same in commit order, with Caravel's lock. */
export const ordered = make(
  "The same, with Caravel's lock in front, so that positions are in the order of commits",
  "SELECT pg_advisory_xact_lock('caravel_event'::regclass::oid::int, 0)"
)
