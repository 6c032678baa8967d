import { expect, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as PostgresConnection from "../../src/postgres/PostgresConnection.js"
import { postgres } from "../../src/postgres/PostgresDialect.js"
import { isLost } from "../../src/postgres/PostgresError.js"
import { inSchema, raw, temporarySchema, withPostgres } from "../fixtures/postgres.js"

withPostgres("PostgreSQL: the driver's errors", (url) => {
  it.scopedLive("are distinguished by their codes", () =>
    Effect.gen(function*() {
      const own = inSchema(url, yield* temporarySchema(url))
      const connect = PostgresConnection.connect({ connectionString: own })
      const [one, other] = [yield* connect, yield* connect]
      const causeOf = (statement: string, connection = one) =>
        Effect.map(Effect.flip(Effect.asVoid(connection.executeRaw(statement, []))), ({ cause }) => cause)
      const reasonOf = (statement: string, connection = one) =>
        Effect.map(causeOf(statement, connection), postgres.reasonOf)

      yield* one.executeRaw("CREATE TABLE t (x TEXT UNIQUE); INSERT INTO t VALUES ('a'), ('b')", [])
      expect(yield* reasonOf("INSERT INTO t VALUES ('a')")).toBe("other")
      expect(yield* reasonOf("not SQL")).toBe("other")
      expect(yield* reasonOf("BEGIN READ ONLY; INSERT INTO t VALUES ('c')")).toBe("readonly")
      yield* one.executeRaw("ROLLBACK", [])
      expect(yield* reasonOf("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$")).toBe("full")
      expect(yield* reasonOf("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'XX001'; END $$")).toBe("corrupt")
      expect(yield* reasonOf("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '42501'; END $$")).toBe("readonly")

      yield* one.executeRaw("BEGIN; SELECT pg_advisory_xact_lock(1, 1)", [])
      expect(yield* reasonOf("SET lock_timeout = '10ms'; SELECT pg_advisory_xact_lock(1, 1)", other)).toBe("busy")
      yield* one.executeRaw("ROLLBACK", [])

      yield* one.executeRaw("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM t", [])
      yield* other.executeRaw("UPDATE t SET x = 'c' WHERE x = 'a'", [])
      const conflict = yield* causeOf("UPDATE t SET x = 'd' WHERE x = 'a'")
      expect([postgres.reasonOf(conflict), postgres.isTransient(conflict), isLost(conflict)]).toEqual([
        "busy",
        true,
        false
      ])
      yield* one.executeRaw("ROLLBACK", [])

      const client = yield* raw(url)
      const [{ pid }] = yield* other.execute("SELECT pg_backend_pid() AS pid", [], undefined)
      const sleeping = yield* Effect.fork(causeOf("SELECT pg_sleep(60)", other))
      yield* Effect.promise(() => client.query("SELECT pg_terminate_backend($1)", [pid]))
      const ended = yield* sleeping
      expect([postgres.reasonOf(ended), postgres.isTransient(ended), postgres.endsTransaction(ended)])
        .toEqual(["unavailable", true, true])
      // Later statements are not even sent.
      expect(yield* reasonOf("SELECT 1", other)).toBe("unavailable")
      expect(Exit.isFailure(yield* Effect.exit(other.end))).toBe(true)
    }))

  it.scopedLive("of an unreachable server count as a lost connection", () =>
    Effect.gen(function*() {
      const away = new URL(url)
      away.port = "1"
      const { cause } = yield* Effect.flip(PostgresConnection.connect({ connectionString: away.href }))
      expect([postgres.reasonOf(cause), isLost(cause)]).toEqual(["unavailable", true])
    }))
})
