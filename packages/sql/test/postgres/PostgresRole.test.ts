/** A role that can append to the journal but not change it, by the statements in docs/postgresql.md. */
import { ActivityFeed, Command, Journal, Secrets } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Backup, Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { readFileSync } from "node:fs"
import { key } from "../fixtures/encrypted.js"
import { inSchema, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { temporaryFile } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

const grants = /```sql\n(CREATE ROLE caravel_app[^]*?)```/.exec(
  readFileSync(new URL("../../../../docs/postgresql.md", import.meta.url), "utf8")
)![1]!

const changes = [
  "UPDATE caravel_event SET payload = '{}'",
  "DELETE FROM caravel_event",
  "TRUNCATE caravel_event CASCADE",
  "DROP TABLE caravel_event CASCADE",
  "ALTER TABLE caravel_event DISABLE TRIGGER ALL",
  "CREATE TABLE mine (x int)"
]

withPostgres("PostgreSQL: roles", (url) => {
  it.scopedLive("the application's role appends, consumes and verifies, but cannot change the journal", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const role = `${schema}_app`
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(inSchema(url, schema)) })))
      yield* Effect.acquireRelease(
        statements(url, grants.replaceAll("caravel_app", role).replaceAll(/\bcaravel\b/g, schema)),
        () => statements(url, `DROP OWNED BY ${role}`, `DROP ROLE ${role}`)
      )
      const own = new URL(inSchema(url, schema))
      own.username = role
      const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(own.href) }))
      yield* Effect.gen(function*() {
        const command = yield* Command
        const nwcUrl = "nostr+walletconnect://x?secret=y"
        yield* Command.withIdempotencyKey("k")(command.createTenant({ pubkey, nwcUrl }))
        yield* command.createRelay({ id: "a", tenant: pubkey, subdomain: "a" })
        yield* command.updateRelay({ id: "a", subdomain: "b" })
        yield* command.updateTenant({ pubkey, nwcUrl: null })
        yield* Effect.fork(
          Consumer.run({
            name: "c",
            from: "beginning",
            onFailure: "park",
            retry: undefined,
            handle: () => Effect.fail("no")
          })
        )
        yield* Consumer.awaitPosition("c", 1)
        const journal = yield* Journal
        const steps = yield* Stream.runCollect(journal.verify)
        expect([...steps].flatMap(({ differences }) => differences)).toEqual([])
        expect(yield* journal.rebuild()).toBe(0)
        yield* Stream.runDrain(Stream.take((yield* ActivityFeed).since(0), 4))

        const sql = yield* SqlClient
        for (const change of changes) {
          expect([change, (yield* Effect.flip(sql.unsafe(change))).cause]).toMatchObject([change, { code: "42501" }])
        }

        const keyed = yield* Layer.build(
          Postgres.layer({ url: Redacted.make(own.href), secretKeys: [Redacted.make(key)] })
        )
        yield* Context.get(keyed, Command).updateTenant({ pubkey, nwcUrl })

        const remain = yield* Effect.flip((yield* Secrets).eraseTenantSecrets({ pubkey }))
        expect(remain).toMatchObject({ _tag: "SecretsRemain", cause: { reason: "readonly" } })
        expect(remain.message).toContain("as the owner")
        expect(remain.message).not.toMatch(/once more|file and its directory/)

        const to = yield* temporaryFile
        const place = { url: Redacted.make(own.href) }
        const { position } = yield* Backup.backup({ from: place, to })
        const refused = yield* Effect.flip(Backup.restore({ from: to, to: place, overwrite: true }))
        expect(refused).toMatchObject({ _tag: "StorageError", reason: "readonly" })
        expect(yield* journal.head).toBe(position)
      }).pipe(Effect.provide(context))
    }))

  it.scopedLive("a role that may not use the schema is told so, and not that there are no tables", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const role = `${schema}_stranger`
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema })))
      yield* Effect.acquireRelease(
        statements(url, `CREATE ROLE ${role} LOGIN`),
        () => statements(url, `DROP ROLE ${role}`)
      )
      const as = new URL(url)
      as.username = role
      const open = (schema: string) =>
        Effect.flip(Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(as.href), schema, create: false }))))
      const refused = yield* open(schema)
      expect(refused).toMatchObject({ _tag: "StorageError", reason: "readonly" })
      expect(refused.message).toContain(`the role may not use schema ${schema} (grant it USAGE`)
      expect(yield* open(`${schema}_none`)).toMatchObject({ _tag: "StorageError", reason: "missing" })
    }))

  it.scopedLive("the owner's updates and deletions are refused too", () =>
    Effect.gen(function*() {
      const own = inSchema(url, yield* temporarySchema(url))
      const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(own) }))
      yield* Context.get(context, Command).createTenant({ pubkey })
      const client = yield* raw(own)
      for (const change of changes.slice(0, 3)) {
        const error = yield* Effect.flip(Effect.tryPromise({ try: () => client.query(change), catch: String }))
        expect(error).toMatch(/the journal is append-only: an event is never (changed|deleted)/)
      }
    }))
})
