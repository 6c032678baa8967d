/** What the server keeps of wallet URLs that were erased or replaced. */
import { Command, Secrets } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted } from "effect"
import { frozenPostgres } from "../fixtures/frozen.js"
import { marksOf, pubkeyOf, urlOf } from "../fixtures/marked.js"
import { inSchema, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"

const pubkey = pubkeyOf("a", 0)
const [mark] = marksOf("a", 0)

withPostgres("PostgreSQL: erasure", (url) => {
  const opened = Effect.gen(function*() {
    const own = inSchema(url, yield* temporarySchema(url))
    const context = yield* Layer.build(Postgres.layer({ url: Redacted.make(own) }))
    return { own, command: Context.get(context, Command), secrets: Context.get(context, Secrets) }
  })

  /** Whether the bytes are in the file of the secrets' table. */
  const isInFile = (own: string) =>
    Effect.map(
      statements(
        own,
        "CHECKPOINT",
        `SELECT position('${mark}'::bytea IN pg_read_binary_file(pg_relation_filepath('caravel_secret'))) > 0 AS found`
      ),
      ([, rows]) => rows?.[0].found
    )

  it.scopedLive(
    "waits for a transaction that may still read the rows, whatever it has read so far",
    () =>
      Effect.gen(function*() {
        const { command, own, secrets } = yield* opened
        yield* command.createTenant({ pubkey, nwcUrl: urlOf(mark) })
        const reader = yield* raw(own)
        yield* Effect.promise(() => reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1"))
        const error = yield* Effect.flip(secrets.eraseTenantSecrets({ pubkey }))
        expect(error).toMatchObject({ _tag: "SecretsRemain", cause: { _tag: "StorageError", reason: "busy" } })
        expect(error.message).toContain("the oldest in pg_stat_activity")
        expect(yield* isInFile(own)).toBe(true)

        const repeated = yield* Effect.fork(secrets.eraseTenantSecrets({ pubkey }))
        yield* Effect.promise(() => reader.query("COMMIT"))
        yield* Fiber.join(repeated)
        expect(yield* isInFile(own)).toBe(false)
      }),
    60_000
  )

  it.scopedLive("the planner's statistics have no samples, and those of earlier schemas are removed", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const samples = `SELECT attname FROM pg_stats WHERE tablename = 'caravel_secret' AND schemaname = '${schema}'`
      const analyze = `ANALYZE ${schema}.caravel_secret`
      const value = { attname: "value" }
      const [, , earlier] = yield* statements(url, frozenPostgres("0009", schema), analyze, samples)
      expect(earlier).toContainEqual(value)
      yield* Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(url), schema })))
      expect(yield* statements(url, samples)).not.toContainEqual([value])
      expect((yield* statements(url, analyze, samples))[1]).toEqual(
        earlier?.filter(({ attname }) => attname !== "value")
      )
    }))
})
