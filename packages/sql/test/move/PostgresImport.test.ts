/** An import into PostgreSQL: the same programs as into SQLite, and two processes that wait for one another. */
import { Query } from "@caravel/domain"
import { Import, Postgres } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer, Redacted } from "effect"
import { drifts, imported, sourceOf } from "../fixtures/importing.js"
import { inSchema, layerTemporary, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { expectedOf, observed, sources } from "../fixtures/source.js"

withPostgres("PostgreSQL: an import", (url) => {
  it("reproduces the rows and the log of any source once, and the journal agrees with the rows", () =>
    fc.assert(
      fc.asyncProperty(sources, (rows) =>
        Effect.gen(function*() {
          const filename = yield* sourceOf(rows)
          const dry = yield* Import.run({ source: filename, dryRun: true })
          const { refused, report } = yield* imported(filename)
          expect([refused, dry]).toEqual([[], report])
          expect((yield* imported(filename)).report).toEqual(report)
          expect(yield* observed(yield* Query)).toEqual(expectedOf(rows))
          expect(yield* drifts).toEqual([])
        }).pipe(Effect.scoped, Effect.provide(layerTemporary(url)), Effect.runPromise)),
      { numRuns: 5 }
    ), 120_000)

  it.scopedLive("that two processes run at the same time takes effect once", () =>
    Effect.gen(function*() {
      const own = inSchema(url, yield* temporarySchema(url))
      const open = Layer.build(Layer.fresh(Postgres.layer({ url: Redacted.make(own) })))
      const [here, there] = [yield* open, yield* open]
      const [rows] = fc.sample(sources, 1)
      const source = yield* sourceOf(rows!)
      yield* Effect.forEach([here, there], (context) =>
        Effect.retry(Effect.provide(Import.run({ source }), context), {
          while: (error) => error._tag === "StorageError" && error.reason === "busy"
        }), { concurrency: 2 })
      expect(yield* Effect.provide(Effect.flatMap(Query, observed), here)).toEqual(expectedOf(rows!))
      expect(yield* Effect.provide(drifts, here)).toEqual([])
    }))
})
