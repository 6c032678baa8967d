import { Command } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { withPostgres } from "./fixtures/postgres.js"
import { ownServer } from "./fixtures/postgresServer.js"

withPostgres("PostgreSQL: TLS", () => {
  it.scopedLive(
    "is spoken with a server whose certificate is trusted, and with no other",
    () =>
      Effect.gen(function*() {
        const { certificate, url } = yield* ownServer({ tls: true })
        const options = { url: Redacted.make(url) }
        const refused = yield* Effect.flip(Layer.build(Postgres.layer({ ...options, ssl: true })))
        expect(refused).toMatchObject({ _tag: "StorageError" })
        expect(refused.message).toContain("self-signed certificate")
        const context = yield* Layer.build(Postgres.layer({ ...options, ssl: { ca: certificate! } }))
        yield* Context.get(context, Command).createTenant({ pubkey: "a".repeat(64) })
        // The one that listens too.
        const rows = yield* Context.get(context, SqlClient)`
        SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'caravel'`
        expect(rows).toEqual([{ ssl: true }])
      }),
    60_000
  )
})
