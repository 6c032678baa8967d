import { Command, Query } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Postgres, Sqlite } from "@caravel/sql"
import { pubkey, relay, tenant } from "@caravel/testing"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import process from "node:process"
import { moveRelay } from "../src/moveRelay.js"

/** The tests, which do not know the storage. */
const suite = <E>(storage: string, layer: Layer.Layer<Command | Query, E>) =>
  describe(`moving a relay, on ${storage}`, () => {
    const relays = Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant(tenant())
      for (const id of ["a", "b"]) yield* command.createRelay(relay({ id }))
    })

    it.scopedLive("changes its subdomain once", () =>
      Effect.gen(function*() {
        yield* relays
        expect(yield* moveRelay("a", "new")).toBe(true)
        expect(yield* moveRelay("a", "new")).toBe(false)
        const all = yield* (yield* Query).relaysOf(pubkey("alice"))
        expect(all.map(({ subdomain }) => subdomain).toSorted()).toEqual(["b", "new"])
      }).pipe(Effect.provide(layer)))

    it.scopedLive("to a subdomain that is taken is refused", () =>
      Effect.gen(function*() {
        yield* relays
        expect(yield* Effect.flip(moveRelay("a", "b"))).toMatchObject({ _tag: "SubdomainTaken", subdomain: "b" })
      }).pipe(Effect.provide(layer)))
  })

suite("memory", Memory.layer)
suite("SQLite", Sqlite.layerTemporary)

/** A schema of the tests' own, which is dropped at the end. */
const temporarySchema = (url: string) => {
  const schema = `swap_layers_${process.pid}`
  const drop = Effect.flatMap(SqlClient, (sql) => Effect.orDie(sql`DROP SCHEMA ${sql(schema)} CASCADE`))
  return Layer.provideMerge(
    Layer.scopedDiscard(Effect.acquireRelease(Effect.void, () => drop)),
    Postgres.layer({ url: Redacted.make(url), schema })
  )
}

const url = process.env["CARAVEL_TEST_POSTGRES_URL"]
if (url === undefined) it.skip("PostgreSQL: set CARAVEL_TEST_POSTGRES_URL", () => {})
else suite("PostgreSQL", temporarySchema(url))
