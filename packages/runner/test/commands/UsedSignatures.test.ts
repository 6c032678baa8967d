/** Two hosts on one database: each signature is used once. */
import type { StorageError } from "@caravel/domain"
import { SingleUse } from "@caravel/http"
import { Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import * as UsedSignatures from "../../src/commands/UsedSignatures.js"
import { temporary } from "../process.js"

const server = process.env["CARAVEL_TEST_POSTGRES_URL"]

/** The services of a host; each call is another host. */
type Host = () => Layer.Layer<SqlClient, StorageError>

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

describe("used signatures", () => {
  it.live("in an SQLite file", () =>
    Effect.acquireUseRelease(
      Effect.sync(temporary),
      ({ path }) => usedOnce(() => Sqlite.layer({ filename: join(path, "db") })),
      ({ remove }) => Effect.sync(remove)
    ), 60_000)

  it.live.skipIf(server === undefined)("on PostgreSQL", () => {
    const schema = `caravel_test_${randomUUID().replaceAll("-", "")}`
    const host = () => Postgres.layer({ url: Redacted.make(server!), schema })
    return Effect.ensuring(
      usedOnce(host),
      Effect.orDie(Effect.provide(Effect.flatMap(SqlClient, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`), host()))
    )
  }, 60_000)
})
