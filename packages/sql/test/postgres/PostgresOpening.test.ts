import { Command, Query } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { hasPgBouncer, pgBouncer } from "../fixtures/pgbouncer.js"
import { statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { ownServer } from "../fixtures/postgresServer.js"

const pubkey = "a".repeat(64)

const layer = (url: string, options: Partial<Postgres.Options> = {}) =>
  Layer.fresh(Postgres.layer({ url: Redacted.make(url), ...options }))

const open = (url: string, options?: Partial<Postgres.Options>) =>
  Effect.scoped(Effect.asVoid(Layer.build(layer(url, options))))

/** The error of an opening. It must fail at once, without retries. */
const refusal = (url: string, options?: Partial<Postgres.Options>) =>
  Effect.gen(function*() {
    const begun = performance.now()
    const error = yield* Effect.flip(open(url, options))
    expect(performance.now() - begun).toBeLessThan(4500)
    expect(error._tag).toBe("StorageError")
    return error.message
  })

/** A URL with some parts replaced. */
const changed = (url: string, parts: Partial<URL>, parameters: { readonly [name: string]: string } = {}) => {
  const own = Object.assign(new URL(url), parts)
  for (const [name, value] of Object.entries(parameters)) own.searchParams.set(name, value)
  return own.href
}

const tables = "SELECT count(*)::int AS tables FROM pg_tables WHERE tablename LIKE 'caravel%'"

withPostgres("opening a PostgreSQL database", (url) => {
  it.scopedLive("concurrent openings of a schema that does not exist yet all succeed", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      yield* statements(url, `DROP SCHEMA ${schema}`)
      yield* Effect.all(Array.from({ length: 12 }, () => open(url, { schema })), { concurrency: "unbounded" })
    }), 60_000)

  it.scopedLive("a database that cannot store every text is refused", () =>
    Effect.gen(function*() {
      const { url } = yield* ownServer()
      yield* statements(url, "CREATE DATABASE old ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
      const old = changed(url, { pathname: "/old" })
      expect(yield* refusal(old)).toContain("the database's encoding is LATIN1")
      expect(yield* statements(old, tables)).toEqual([[{ tables: 0 }]])
    }), 60_000)

  it.scopedLive.each([0, -1, 1.5, NaN])(
    "%d is refused as the maximum number of connections",
    (maxConnections) =>
      Effect.gen(function*() {
        expect(yield* refusal(url, { maxConnections })).toContain(`maxConnections is ${maxConnections}`)
      })
  )

  describe("its URL", () => {
    const secret = "SECRET"
    const cases: ReadonlyArray<readonly [string, string, Partial<Postgres.Options>?]> = [
      [`"postgres://user:${secret}@host/db"`, "begins with a quotation mark"],
      [`'postgres://user:${secret}@host/db'`, "begins with a quotation mark"],
      [`postgres://user:${secret}@one:5432,two:5432/db`, "names several hosts"],
      [`postgres://user:${secret}@one,two/db`, "names several hosts"],
      [`postgres://user:${secret}@/db?host=one,two`, "names several hosts"],
      [
        `postgres://user:${secret}@host/db?target_session_attrs=read-write`,
        "has target_session_attrs, which only libpq"
      ],
      [`postgres://user:${secret}@host/db?channel_binding=require`, "has channel_binding, which only libpq"],
      [`postgres://user:${secret}/x@host:port/db`, "cannot be read"],
      [`postgres://user:%E0%A4${secret}@host/db`, "cannot be read"],
      [`postgres://user:${secret}@host/db?sslmode=disable`, "has sslmode=disable, but ssl contradicts it", {
        ssl: true
      }],
      [`postgres://user:${secret}@host/db?sslmode=no-verify`, "has sslmode=no-verify", { ssl: { ca: "x" } }],
      [`postgres://user:${secret}@host/db?sslmode=require`, "has sslmode=require, but ssl", { ssl: false }],
      [`postgres://user:${secret}@host/db?sslrootcert=/x`, "has sslrootcert, but ssl is set too", { ssl: true }],
      [`host=localhost user=user password=${secret}`, "not one of PostgreSQL's"]
    ]
    it.live.each(cases)("%s is refused with the reason", ([text, why, options]) =>
      Effect.gen(function*() {
        const message = yield* refusal(text, options)
        expect(message).toContain(why)
        expect(message).not.toContain(secret)
      }))

    it.live.each(["", " \n", undefined, null, 5, {}])(
      "that is not set is refused: %j",
      (text) =>
        Effect.gen(function*() {
          // As from JavaScript, or `process.env["DATABASE_URL"]!`.
          for (const url of [Redacted.make(text), text]) {
            const error = yield* Effect.flip(Effect.scoped(Layer.build(Postgres.layer({ url: url as never }))))
            expect(error._tag).toBe("StorageError")
            expect(error.message).toContain("url is empty or not set; check whether the environment variable")
          }
        })
    )

    it.scopedLive("can name the server by network address or by socket", () =>
      Effect.gen(function*() {
        const { local, port } = yield* ownServer()
        const folder = new URL(local).searchParams.get("host")!
        const forms = [
          `postgresql://postgres:pw@/postgres?host=${folder}&port=${port}`,
          `postgres://postgres@${encodeURIComponent(folder)}:${port}/postgres`,
          `socket:${folder}?db=postgres&user=postgres&port=${port}`,
          `postgres://127.0.0.1:${port}/postgres?user=postgres&password=p w`,
          `postgres://postgres:a b%25@127.0.0.1:${port}/postgres?application_name=billing`
        ]
        for (const [n, form] of forms.entries()) {
          yield* Effect.provide(
            Effect.flatMap(Command, (command) => command.createTenant({ pubkey: `${n}`.repeat(64) })),
            layer(form, { schema: "a" })
          )
        }
        const context = layer(forms[0]!, { schema: "a" })
        expect(yield* Effect.provide(Effect.flatMap(Query, (query) => query.tenants), context)).toHaveLength(
          forms.length
        )
        const sockets = `SELECT count(*)::int AS n FROM pg_stat_database WHERE datname = 'postgres'`
        expect(yield* statements(local, sockets)).toEqual([[{ n: 1 }]])
      }), 60_000)
  })

  describe("an opening that can never succeed fails at once, with advice", () => {
    it.live("about a missing host, role or database", () =>
      Effect.gen(function*() {
        expect(yield* refusal(changed(url, { hostname: "nobody.invalid" }))).toContain("check the name in the URL")
        expect(yield* refusal(changed(url, { username: "nobody" }))).toContain("check the role in the URL")
        expect(yield* refusal(changed(url, { pathname: "/nowhere" }))).toContain("create the database")
        expect(yield* refusal(changed(url, {}, { sslmode: "require" }))).toContain("does not support TLS")
        const file = "/nowhere/root.crt"
        expect(yield* refusal(changed(url, {}, { sslmode: "require", sslrootcert: file }))).toContain(
          "check sslrootcert="
        )
      }))

    it.scopedLive("about a certificate", () =>
      Effect.gen(function*() {
        const { certificate, url } = yield* ownServer({ tls: true })
        expect(yield* refusal(url, { ssl: true })).toContain("name the authority that signed it")
        // A provider's URL and certificate.
        yield* open(`${url}?sslmode=require`, { ssl: { ca: certificate! } })
        const localhost = changed(url, { hostname: "localhost" })
        expect(yield* refusal(localhost, { ssl: { ca: certificate! } })).toContain(
          "use the host name in the certificate"
        )
      }), 60_000)

    it.scopedLive("about a password", () =>
      Effect.gen(function*() {
        const { data, url } = yield* ownServer()
        yield* statements(url, "CREATE ROLE app LOGIN PASSWORD 'right'", "GRANT CREATE ON DATABASE postgres TO app")
        writeFileSync(
          join(data, "pg_hba.conf"),
          "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        )
        yield* statements(url, "SELECT pg_reload_conf()")
        const app = changed(url, { username: "app" })
        // The server takes a moment to reload the file.
        yield* Effect.retry(Effect.flip(open(app, { schema: "app" })), { times: 20 })
        expect(yield* refusal(app)).toContain("put it into the URL, or into PGPASSWORD")
        const wrong = yield* refusal(changed(app, { password: "WRONG" }))
        expect(wrong).toContain("check the password in the URL")
        expect(wrong).not.toContain("WRONG")
        yield* open(changed(app, { password: "right" }), { schema: "app" })
      }), 60_000)
  })

  if (!hasPgBouncer) {
    it.skip("skipped: pgbouncer is not installed", () => {})
    return
  }

  describe("behind PgBouncer", () => {
    const commands = Effect.flatMap(Command, (command) => command.createTenant({ pubkey }))

    it.scopedLive(
      "that drops the schema setting, an opening is refused and creates nothing, unless the role has the setting",
      () =>
        Effect.gen(function*() {
          const { url } = yield* ownServer()
          yield* statements(url, "CREATE ROLE app LOGIN", "CREATE SCHEMA own AUTHORIZATION app")
          const { url: pooled } = yield* pgBouncer(
            changed(url, { username: "app" }),
            "ignore_startup_parameters = options"
          )
          expect(yield* refusal(pooled, { schema: "own", wakeUps: "poll" })).toContain(
            "the schema own was requested, but the session has public"
          )
          expect(yield* refusal(changed(pooled, {}, { options: "-c synchronous_commit=off" }), { wakeUps: "poll" }))
            .toContain("synchronous_commit = off was requested, but the session has on")
          expect(yield* statements(url, tables)).toEqual([[{ tables: 0 }]])
          yield* statements(url, "ALTER ROLE app SET search_path = own")
          // The pooler's open sessions keep their settings.
          const { url: again } = yield* pgBouncer(
            changed(url, { username: "app" }),
            "ignore_startup_parameters = options"
          )
          yield* Effect.provide(commands, layer(again, { schema: "own", wakeUps: "poll" }))
          expect(yield* statements(url, "SELECT count(*)::int AS n FROM own.caravel_event")).toEqual([[{ n: 1 }]])
        }),
      60_000
    )

    it.scopedLive("that refuses the setting, an opening fails at once, with advice", () =>
      Effect.gen(function*() {
        const { url: pooled } = yield* pgBouncer(url)
        expect(yield* refusal(pooled, { schema: "x", wakeUps: "poll" })).toContain("a pooler refuses a setting")
      }), 60_000)
  })
})
