/** Two hosts on one database: each signature is used once. */
import type { StorageError } from "@caravel/domain"
import { SingleUse } from "@caravel/http"
import { Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { join } from "node:path"
import * as UsedSignatures from "../../src/commands/UsedSignatures.js"
import { temporary } from "../process.js"

const server = process.env["CARAVEL_TEST_POSTGRES_URL"]

/** The services of a host; each call is another host. */
type Host = () => Layer.Layer<Sqlite.Services, StorageError>

const soon = 4e12

const usedOnce = (host: Host) =>
  Effect.gen(function*() {
    const open = () => Layer.build(Layer.fresh(Layer.provideMerge(UsedSignatures.layer, host())))
    const one = yield* open()
    const other = yield* open()
    const use = (id: string, forgetAt: number) =>
      Effect.forEach(
        [one, other, one],
        (host) => Effect.provide(Effect.flatMap(SingleUse.SingleUse, ({ use }) => use(id, forgetAt)), host),
        { concurrency: "unbounded" }
      )
    for (let i = 0; i < 20; i++) {
      const first = yield* use(`id ${i}`, i < 10 ? 1 : soon)
      // One that has expired may be forgotten at once, and is then not signed freshly enough.
      if (i >= 10) expect(first.filter((isFirst) => isFirst)).toEqual([true])
    }
    const sql = yield* Effect.provide(SqlClient, one)
    const rows = yield* sql`SELECT id FROM caravel_used_signature ORDER BY id`
    expect(rows.map(({ id }) => id)).toEqual(Array.from({ length: 10 }, (_, i) => `id ${i + 10}`))
  }).pipe(Effect.scoped)

/** The error of a use after something has happened to the database. The id needs more pages than there are. */
const failureAfter = (host: ReturnType<Host>, event: Effect.Effect<unknown, SqlError, SqlClient>) =>
  Effect.gen(function*() {
    const { use } = yield* SingleUse.SingleUse
    yield* event
    return yield* Effect.flip(use("id".repeat(10_000), soon))
  }).pipe(Effect.provide(Layer.provideMerge(UsedSignatures.layer, host)))

/** A server behind a proxy that can disconnect it. */
const proxy = (server: string) =>
  Effect.async<{ readonly url: string; readonly disconnect: Effect.Effect<void> }>((resume) => {
    const url = new URL(server)
    const sockets: Array<Socket> = []
    const { hostname, port } = url
    const listener = createServer((socket) => {
      const upstream = connect(Number(port || 5432), hostname)
      for (const end of [socket, upstream]) sockets.push(end.on("error", () => {}))
      socket.pipe(upstream)
      upstream.pipe(socket)
    })
    const disconnect = Effect.sync(() => {
      listener.close()
      for (const socket of sockets) socket.destroy()
    })
    listener.listen(0, "127.0.0.1", () => {
      url.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`
      resume(Effect.succeed({ url: url.href, disconnect }))
    })
  })

describe("used signatures", () => {
  it.live("in an SQLite file", () =>
    Effect.acquireUseRelease(
      Effect.sync(temporary),
      ({ path }) => usedOnce(() => Sqlite.layer({ filename: join(path, "db") })),
      ({ remove }) => Effect.sync(remove)
    ), 60_000)

  it.live("that cannot be remembered have the database's reason", () =>
    Effect.gen(function*() {
      const reasonAfter = (pragma: string) =>
        failureAfter(Sqlite.layerTemporary, Effect.flatMap(SqlClient, (sql) => sql.unsafe(`PRAGMA ${pragma}`)))
      const operation = "remembering a signature"
      expect(yield* reasonAfter("query_only = ON")).toMatchObject({ reason: "readonly", operation })
      expect(yield* reasonAfter("max_page_count = 1")).toMatchObject({ reason: "full", operation })
    }), 60_000)

  it.live.skipIf(server === undefined)("on PostgreSQL, also while it is away", () => {
    const schema = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const host = (url = server!) => Postgres.layer({ url: Redacted.make(url), schema })
    return Effect.ensuring(
      Effect.gen(function*() {
        yield* usedOnce(host)
        const { disconnect, url } = yield* proxy(server!)
        expect(yield* failureAfter(host(url), disconnect)).toMatchObject({ reason: "unavailable" })
      }),
      Effect.orDie(Effect.provide(Effect.flatMap(SqlClient, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`), host()))
    )
  }, 60_000)
})
