/** Once a secret is encrypted, none is stored in clear, whichever secrets are left. */
import { Command, Query, Secrets } from "@caravel/domain"
import { Backup, Copy } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { type Endpoint, file, schemaOf, using } from "../fixtures/copying.js"
import { key, keyIdOf } from "../fixtures/encrypted.js"
import { frozenPostgres, frozenSqlite } from "../fixtures/frozen.js"
import { pubkeyOf, urlOf } from "../fixtures/marked.js"
import { statements, withPostgres } from "../fixtures/postgres.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const pubkey = pubkeyOf("a", 0)
const clear = (n: number) =>
  Effect.flatMap(Command, (command) => command.createTenant({ pubkey: pubkeyOf("c", n), nwcUrl: urlOf("<clear>") }))
const encrypted = Effect.flatMap(Command, (command) => command.createTenant({ pubkey, nwcUrl: urlOf("<secret>") }))
const erased = Effect.flatMap(Secrets, (secrets) => secrets.eraseTenantSecrets({ pubkey }))
const rotated = Effect.flatMap(Secrets, (secrets) => secrets.rotate())

const refuses = (endpoint: Endpoint) =>
  using(
    endpoint,
    Effect.gen(function*() {
      const error = yield* Effect.flip(clear(9))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "other" })
      expect(error.message).toContain("the secrets of this database are encrypted: open it with their keys")
    })
  )

const accepts = (endpoint: Endpoint) => using(endpoint, clear(9))

const clearUrls = (endpoint: Endpoint) =>
  using(
    endpoint,
    Effect.gen(function*() {
      const sql = yield* SqlClient
      return (yield* sql`SELECT value FROM caravel_secret WHERE key_id IS NULL`).map((row) => row["value"])
    })
  )

const suite = (
  name: string,
  database: Effect.Effect<Endpoint, never, Scope.Scope>,
  encryptedIn0009: Effect.Effect<Endpoint, never, Scope.Scope>
) =>
  describe(name, () => {
    it.scopedLive("none is stored in clear after the last encrypted one is erased", () =>
      Effect.gen(function*() {
        const endpoint = yield* database
        yield* using(endpoint, encrypted, key)
        yield* using(endpoint, erased)
        yield* refuses(endpoint)
        expect(yield* clearUrls(endpoint)).toEqual([])
        // Other commands and other keys work.
        yield* using(endpoint, Effect.flatMap(Command, (command) => command.setTenantPastDue(pubkey)))
        yield* using(endpoint, clear(1), Buffer.alloc(32, 5).toString("base64"))
      }))

    it.scopedLive("none is stored in clear after those that were in clear are encrypted and gone", () =>
      Effect.gen(function*() {
        const endpoint = yield* database
        yield* using(endpoint, Effect.zipRight(encrypted, clear(1)))
        expect(yield* using(endpoint, rotated, key)).toBe(2)
        yield* using(
          endpoint,
          Effect.flatMap(Command, (command) =>
            Effect.forEach([pubkey, pubkeyOf("c", 1)], (pubkey) =>
              command.updateTenant({ pubkey, nwcUrl: null }))),
          key
        )
        yield* refuses(endpoint)
      }))

    it.scopedLive("none is stored in clear after an upgrade of a database with an encrypted one", () =>
      Effect.gen(function*() {
        const endpoint = yield* encryptedIn0009
        yield* using(
          endpoint,
          Effect.flatMap(Command, (command) =>
            command.updateTenant({ pubkey: "a".repeat(64), nwcUrl: null }))
        )
        yield* refuses(endpoint)
      }))

    it.scopedLive(
      "those that stay in clear are kept by an erasure and by repeated copies, and the copies refuse others",
      () =>
        Effect.gen(function*() {
          const endpoint = yield* database
          yield* using(endpoint, clear(1))
          yield* using(endpoint, encrypted, key)
          const copies = [yield* file, yield* database]
          for (let times = 0; times < 2; times++) {
            for (const to of copies) {
              yield* Copy.copy({ from: endpoint, to })
              expect(yield* clearUrls(to)).toEqual([urlOf("<clear>")])
              yield* refuses(to)
            }
            yield* using(endpoint, erased)
            expect(yield* clearUrls(endpoint)).toEqual([urlOf("<clear>")])
          }
        }),
      20_000
    )

    it.scopedLive("a backup has it too, and one from before the encryption restores what it was", () =>
      Effect.gen(function*() {
        const [endpoint, [before, after]] = [yield* database, [yield* temporaryFile, yield* temporaryFile]]
        const place = "filename" in endpoint ? endpoint.filename : endpoint
        yield* using(endpoint, clear(1))
        yield* Backup.backup({ from: place, to: before })
        yield* using(endpoint, Effect.zipRight(encrypted, rotated), key)
        yield* using(
          endpoint,
          Effect.flatMap(
            Command,
            (command) =>
              Effect.forEach([pubkey, pubkeyOf("c", 1)], (pubkey) =>
                command.updateTenant({ pubkey, nwcUrl: null }))
          ),
          key
        )
        yield* Backup.backup({ from: place, to: after })
        yield* refuses({ filename: after })
        const other = yield* database
        yield* Backup.restore({ from: after, to: "filename" in other ? other.filename : other })
        yield* refuses(other)

        yield* Backup.restore({ from: before, to: place, overwrite: true })
        expect(
          yield* using(
            endpoint,
            Effect.flatMap(Query, ({ tenants }) =>
              Effect.map(tenants, ([tenant]) => Redacted.value(tenant!.nwcUrl!)))
          )
        ).toBe(urlOf("<clear>"))
        yield* accepts(endpoint)
        yield* Backup.restore({ from: after, to: place, overwrite: true })
        yield* refuses(endpoint)
      }), 20_000)
  })

const encrypts = `UPDATE caravel_secret SET key_id = '${keyIdOf(key)}', value = ''`

suite(
  "in a file",
  file,
  Effect.gen(function*() {
    const filename = yield* temporaryFile
    const database = yield* raw(filename)
    database.exec(frozenSqlite("0009"))
    database.exec(encrypts)
    return { filename }
  })
)

withPostgres("in a schema", (url) =>
  suite(
    "of PostgreSQL",
    schemaOf(url),
    Effect.tap(schemaOf(url), (endpoint) => {
      const schema = "schema" in endpoint ? endpoint.schema! : ""
      return statements(url, frozenPostgres("0009", schema), encrypts.replace("caravel", `${schema}.caravel`))
    })
  ))
