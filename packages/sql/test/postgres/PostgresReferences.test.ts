/** Rows of the application that refer to tenants and relays do not make commands wait. */
import { Command } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Redacted } from "effect"
import { raw, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = "a".repeat(64)

withPostgres("PostgreSQL: references of the application", (url) =>
  it.scopedLive(
    "an open transaction that has written one does not make commands wait",
    () =>
      Effect.gen(function*() {
        const schema = yield* temporarySchema(url)
        yield* Effect.gen(function*() {
          const command = yield* Command
          const sql = yield* SqlClient
          yield* command.createTenant({ pubkey })
          yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
          yield* sql`CREATE TABLE note (relay TEXT REFERENCES caravel_relay, tenant TEXT REFERENCES caravel_tenant)`
          const other = yield* raw(url)
          yield* Effect.promise(() => other.query(`BEGIN; INSERT INTO ${schema}.note VALUES ('a', '${pubkey}')`))
          const ended = yield* Deferred.make<void>()
          const commands = yield* Effect.fork(
            Effect.all([
              command.deactivateRelay({ id: "a" }),
              command.updateRelay({ id: "a", infoName: "A", subdomain: "a" }),
              command.updateTenant({ pubkey, stripeCustomerId: "cus_1" })
            ]).pipe(Effect.ensuring(Deferred.succeed(ended, undefined)))
          )
          // If they waited for the open transaction, they would end only after it.
          const waits = Effect.promise(async () => {
            const { rows } = await other.query(
              "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )
            return rows.length > 0
          })
          const isWaiting = yield* Effect.raceFirst(
            Effect.repeat(waits, { until: (waits) => waits }),
            Effect.as(Deferred.await(ended), false)
          )
          yield* Effect.promise(() => other.query("ROLLBACK"))
          yield* Fiber.join(commands)
          expect(isWaiting).toBe(false)
          // A subdomain can still be taken over in one list.
          yield* command.createRelay({ id: "b", tenant: pubkey, subdomain: "b" })
          yield* command.submit([
            { _tag: "UpdateRelay", id: "a", subdomain: "c" },
            { _tag: "UpdateRelay", id: "b", subdomain: "a" },
            { _tag: "UpdateRelay", id: "a", subdomain: "b" }
          ])
        }).pipe(Effect.provide(Postgres.layer({ url: Redacted.make(url), schema })))
      }),
    60_000
  ))
