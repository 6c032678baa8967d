/** PostgreSQL's own dumps. They are loaded in sessions with an empty `search_path`. */
import { Command, Journal, Query, Secrets } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { Effect, Redacted, Stream } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { alice, dump, type Endpoint, history, schemaOf, using } from "../fixtures/copying.js"
import { key, keyIdOf } from "../fixtures/encrypted.js"
import { pubkeyOf, urlOf } from "../fixtures/marked.js"
import { raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const hasPrograms = ["pg_dump", "psql"].every((program) => spawnSync(program, ["--version"]).status === 0)

const nameOf = (endpoint: Endpoint) => "schema" in endpoint ? endpoint.schema! : ""

const differences = Effect.flatMap(Journal, (journal) => Stream.runCollect(journal.verify)).pipe(
  Effect.map((steps) => [...steps].flatMap(({ differences }) => differences))
)

withPostgres("PostgreSQL's own tools", (url) => {
  const database = schemaOf(url)

  it.scopedLive("secrets are inserted, in clear too, in a session with an empty search_path, and are encrypted from then on", () =>
    Effect.gen(function*() {
      const endpoint = yield* database
      const table = `${nameOf(endpoint)}.caravel_secret`
      yield* using(endpoint, Effect.void)
      for (const setting of ["SET search_path = ''", "SELECT set_config('search_path', '', false)"]) {
        const client = yield* raw(url)
        yield* Effect.promise(async () => {
          await client.query(setting)
          await client.query(`INSERT INTO ${table} VALUES (gen_random_uuid(), 'encrypted', '${keyIdOf(key)}')`)
          await client.query(`INSERT INTO ${table} VALUES (gen_random_uuid(), 'clear', NULL)`)
        })
      }
      const clear = Effect.flatMap(
        Command,
        (command) => command.createTenant({ pubkey: alice, nwcUrl: urlOf("<clear>") })
      )
      expect((yield* Effect.flip(using(endpoint, clear))).message).toContain("open it with their keys")
    }))

  it.scopedLive("a renamed schema is a database like before", () =>
    Effect.gen(function*() {
      const [endpoint, schema] = [yield* database, yield* temporarySchema(url)]
      yield* history(endpoint)
      yield* statements(url, `DROP SCHEMA ${schema}`, `ALTER SCHEMA ${nameOf(endpoint)} RENAME TO ${schema}`)
      yield* using(
        { ...endpoint, schema },
        Effect.gen(function*() {
          const command = yield* Command
          yield* command.createTenant({ pubkey: pubkeyOf("d", 0), nwcUrl: urlOf("<new>") })
          yield* (yield* Secrets).eraseTenantSecrets({ pubkey: pubkeyOf("d", 0) })
          expect(yield* differences).toEqual([])
        }),
        key
      )
    }), 20_000)

  if (!hasPrograms) {
    it.skip("skipped: pg_dump and psql are not installed", () => {})
    return
  }

  it.scopedLive("a dump of the data alone, with secrets of both kinds, can be loaded", () =>
    Effect.gen(function*() {
      const [from, to] = [yield* database, yield* database]
      yield* history(from)
      yield* statements(url, `DROP SCHEMA ${nameOf(to)}`)
      for (const part of ["--schema-only", "--data-only"]) {
        const text = execFileSync("pg_dump", [url, part, `--schema=${nameOf(from)}`], { encoding: "utf8" })
        execFileSync("psql", [url, "--quiet", "--set=ON_ERROR_STOP=1"], {
          input: text.replaceAll(nameOf(from), nameOf(to)),
          stdio: ["pipe", "ignore", "pipe"]
        })
      }
      expect(yield* dump(to)).toEqual(yield* dump(from))
      yield* using(
        to,
        Effect.gen(function*() {
          expect(yield* differences).toEqual([])
          const urls = (yield* (yield* Query).tenants).map(({ nwcUrl }) => Redacted.value(nwcUrl!))
          expect(urls.sort()).toEqual(["clear", "three", "two"].map((name) => `nostr+walletconnect://${name}`))
          yield* (yield* Command).createTenant({ pubkey: pubkeyOf("d", 0), nwcUrl: urlOf("<new>") })
        }),
        key
      )
    }), 30_000)
})
