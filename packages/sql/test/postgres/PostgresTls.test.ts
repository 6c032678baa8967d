import { Command, Query } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import Pg from "pg"
import { withPostgres } from "../fixtures/postgres.js"
import { ownServer } from "../fixtures/postgresServer.js"
import { temporaryDirectory } from "../fixtures/sqlite.js"

withPostgres("PostgreSQL: TLS", () => {
  it.scopedLive(
    "is used with a server whose certificate is trusted, and no other server is accepted",
    () =>
      Effect.gen(function*() {
        const { certificate, url } = yield* ownServer({ tls: true })
        const options = { url: Redacted.make(url) }
        const refused = yield* Effect.flip(Layer.build(Postgres.layer({ ...options, ssl: true })))
        expect(refused).toMatchObject({ _tag: "StorageError" })
        expect(refused.message).toContain("self-signed certificate")
        const context = yield* Layer.build(Postgres.layer({ ...options, ssl: { ca: certificate! } }))
        yield* Context.get(context, Command).createTenant({ pubkey: "a".repeat(64) })
        // All connections, including the listening one.
        const rows = yield* Context.get(context, SqlClient)`
        SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'caravel'`
        expect(rows).toEqual([{ ssl: true }])
      }),
    60_000
  )

  it.scopedLive(
    "feeds recover after a certificate file was missing for some seconds",
    () =>
      Effect.gen(function*() {
        const { certificate, url } = yield* ownServer({ tls: true })
        const file = join(yield* temporaryDirectory, "root.crt")
        writeFileSync(file, certificate!)
        const byFile = Postgres.layer({ url: Redacted.make(`${url}?sslmode=verify-full&sslrootcert=${file}`) })
        const context = yield* Layer.build(byFile)
        const command = Context.get(context, Command)
        const queue = yield* command.notify.subscribe
        const admin = yield* Effect.acquireRelease(
          Effect.promise(async () => {
            const client = new Pg.Client({ connectionString: url, ssl: { ca: certificate! } })
            await client.connect()
            return client
          }),
          (client) => Effect.promise(() => client.end())
        )
        const others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        rmSync(file)
        yield* Effect.promise(() => admin.query(`SELECT pg_terminate_backend(pid, 10000) ${others}`))
        // All background tasks fail meanwhile, including the poll every two seconds.
        const refused = yield* Effect.all(
          [
            Effect.exit(command.createTenant({ pubkey: "a".repeat(64) })),
            Effect.exit(Context.get(context, Query).tenants)
          ],
          { concurrency: "unbounded" }
        )
        for (const exit of refused) {
          expect(exit).toMatchObject({ cause: { _tag: "Fail", error: { reason: "unavailable" } } })
          expect(String(exit)).toContain("no such file")
        }

        writeFileSync(file, certificate!)
        yield* command.createTenant({ pubkey: "b".repeat(64) })
        // Commits of another process arrive again, by notification and by polling.
        const there = yield* Layer.build(Layer.fresh(byFile))
        yield* Context.get(there, Command).createTenant({ pubkey: "c".repeat(64) })
        expect(Array.from(yield* queue.takeBetween(2, 2), ({ position }) => position)).toEqual([1, 2])
      }),
    60_000
  )
})
