/** How long a COMMIT may take on PostgreSQL: it runs deferred constraints and triggers, and may wait for a standby. */
import { Command, Journal, Position } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { frozenPostgres } from "../fixtures/frozen.js"
import { inSchema, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)

/** A trigger that runs at the COMMIT of a transaction that inserts into a table. */
const atCommit = (table: string, body: string) => [
  `CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM ${body}; RETURN NULL; END $$`,
  `CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON ${table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slowly()`
]

withPostgres("PostgreSQL: a COMMIT that takes long", (url) => {
  /** A schema with a table, and a lock that makes each COMMIT wait whose transaction has inserted into the table. */
  const held = (table: string, create: (schema: string) => string) =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const own = inSchema(url, schema)
      const lock = `hashtext('${schema}')`
      yield* statements(own, create(schema), ...atCommit(table, `pg_advisory_xact_lock(${lock})`))
      const holder = yield* raw(own)
      yield* Effect.promise(() => holder.query(`SELECT pg_advisory_lock(${lock})`))
      /** Releases the lock when a COMMIT has waited for three seconds, or after the last that waited is gone. */
      const releaseLate = Effect.promise(async () => {
        let seen = false
        for (;;) {
          const { rows: [row] } = await holder.query(
            `SELECT clock_timestamp() - query_start > interval '3 seconds' AS late FROM pg_stat_activity
              WHERE application_name = '${schema}' AND wait_event = 'advisory' AND query = 'COMMIT'`
          )
          if (row === undefined ? seen : row.late) break
          seen ||= row !== undefined
        }
        await holder.query("SELECT pg_advisory_unlock_all()")
      })
      return { schema, own, releaseLate }
    })

  for (const what of ["a caller's transaction", "a caller's transaction with a command"]) {
    it.scopedLive(`is waited for in ${what}`, () =>
      Effect.gen(function*() {
        const { own, releaseLate } = yield* held("mine", () => "CREATE TABLE mine (id int)")
        yield* Effect.gen(function*() {
          const command = yield* Command
          const sql = yield* SqlClient
          const committing = yield* Effect.fork(sql.withTransaction(
            Effect.zipRight(
              sql`INSERT INTO mine VALUES (1)`,
              Effect.when(command.createTenant({ pubkey }), () => what.endsWith("command"))
            )
          ))
          yield* releaseLate
          yield* Fiber.join(committing)
          expect(yield* sql`SELECT id FROM mine`).toEqual([{ id: 1 }])
          expect(yield* (yield* Journal).head).toBe(what.endsWith("command") ? 1 : 0)
        }).pipe(Effect.provide(Postgres.layer({ url: Redacted.make(own) })))
      }), 20_000)
  }

  it.scopedLive("is waited for in a migration", () =>
    Effect.gen(function*() {
      const { own, releaseLate } = yield* held("caravel_migrations", (schema) => frozenPostgres("0009", schema))
      const opening = yield* Effect.fork(
        Effect.provide(
          Effect.flatMap(Journal, (journal) => journal.head),
          Postgres.layer({ url: Redacted.make(own) })
        )
      )
      yield* releaseLate
      expect(yield* Fiber.join(opening)).toBe(4)
    }), 20_000)

  it.scopedLive(
    "is given up after holdTimeout, and then it is found out whether it has committed",
    () =>
      Effect.gen(function*() {
        const own = inSchema(url, yield* temporarySchema(url))
        yield* statements(own, "CREATE TABLE mine (id int)", ...atCommit("mine", "pg_sleep(60)"))
        yield* Effect.gen(function*() {
          const command = yield* Command
          const sql = yield* SqlClient
          const error = yield* Effect.flip(
            sql.withTransaction(Effect.zipRight(sql`INSERT INTO mine VALUES (1)`, command.createTenant({ pubkey })))
          )
          expect(error).toMatchObject({ _tag: "SqlError", cause: { message: "the server does not answer" } })
          expect(yield* (yield* Journal).read(Position.make(0), 1)).toEqual([])
          expect((yield* command.createTenant({ pubkey })).position).toBe(1)
        }).pipe(Effect.provide(Postgres.layer({ url: Redacted.make(own), holdTimeout: "5500 millis" })))
      }),
    20_000
  )
})
