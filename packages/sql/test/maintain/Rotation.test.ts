import { LongRun } from "@caravel/conformance"
import { Command, type Rotation, Secrets } from "@caravel/domain"
import { Postgres } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted } from "effect"
import { found } from "../fixtures/bytes.js"
import { bundled, spawned } from "../fixtures/child.js"
import { create, key, keyIdOf, old, open, opened, stored, urls } from "../fixtures/encrypted.js"
import { marksOf, pubkeyOf, urlOf } from "../fixtures/marked.js"
import { inSchema, raw, statements, temporarySchema, withPostgres } from "../fixtures/postgres.js"
import { temporaryFile } from "../fixtures/sqlite.js"

const rounds = Math.ceil(LongRun.count("CARAVEL_KILLS", { usual: 10, long: 1000 }) / 10)

describe("a rotation", () => {
  it.scopedLive("encrypts all secrets with the current key, reports its progress, and leaves no byte of their old form", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 600, old)
      const before = yield* stored(filename)
      const steps: Array<Rotation> = []
      const { secrets } = yield* open(filename, key, old)
      expect(yield* secrets.rotate((step) => Effect.sync(() => void steps.push(step)))).toBe(600)
      expect(steps).toEqual([256, 512, 600].map((rotated) => ({ rotated, total: 600 })))
      expect(yield* found(filename, before.map(({ value }) => value.slice(0, 40)))).toEqual([])
      expect((yield* stored(filename)).every(({ keyId }) => keyId === keyIdOf(key))).toBe(true)
      expect(yield* urls(filename, key)).toEqual(before.map((_, n) => urlOf(marksOf("a", n)[0])))
      expect(yield* secrets.rotate()).toBe(0)
    }))

  it.scopedLive("that was killed at any point can be continued", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 2000)
      const script = yield* bundled("./rotating.ts")
      for (let round = 0; round < rounds; round++) {
        const child = yield* spawned(script, [filename, key])
        yield* child.writes(1 + round)
        yield* child.kill("SIGKILL")
        yield* child.ended
        expect(child.errors).toBe("")
        expect(yield* urls(filename, key)).toEqual(Array.from({ length: 2000 }, (_, n) => urlOf(marksOf("a", n)[0])))
      }
      const clear = (yield* stored(filename)).filter(({ keyId }) => keyId === null).length
      expect(clear).toBeLessThan(2000)
      expect(yield* opened(filename, [key], ({ secrets }) => secrets.rotate())).toBe(clear)
      expect(yield* found(filename, ["walletconnect"])).toEqual([])
    }), LongRun.timeout(600_000))

  it.scopedLive("includes secrets that are written meanwhile, and does not block writers", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 600, old)
      const { command } = yield* open(filename, key, old)
      let n = 0
      yield* opened(
        filename,
        [key, old],
        ({ secrets }) =>
          secrets.rotate(() =>
            Effect.orDie(
              Effect.asVoid(command.updateTenant({ pubkey: pubkeyOf("a", n), nwcUrl: urlOf(`<new${n++}>`) }))
            )
          )
      )
      const all = yield* urls(filename, key)
      expect(n).toBe(3)
      expect(all.slice(0, 4)).toEqual([
        ...[0, 1, 2].map((n) => urlOf(`<new${n}>`)),
        urlOf(marksOf("a", 3)[0])
      ])
    }))
})

withPostgres("PostgreSQL: a rotation", (url) => {
  it.scopedLive("does not bring back a secret that is deleted meanwhile", () =>
    Effect.gen(function*() {
      const schema = yield* temporarySchema(url)
      const own = inSchema(url, schema)
      const opened = (...keys: ReadonlyArray<string>) =>
        Layer.build(
          Layer.fresh(Postgres.layer({ url: Redacted.make(own), secretKeys: keys.map((key) => Redacted.make(key)) }))
        )
      const nwcUrl = urlOf(marksOf("a", 0)[0])
      yield* Context.get(yield* opened(old), Command).createTenant({ pubkey: pubkeyOf("a", 0), nwcUrl })
      const { rotate } = Context.get(yield* opened(key, old), Secrets)
      const client = yield* raw(url)
      const query = (text: string) => Effect.promise(() => client.query(text))
      yield* query(`BEGIN; UPDATE ${schema}.caravel_tenant SET nwc_url = NULL; DELETE FROM ${schema}.caravel_secret`)
      const rotation = yield* Effect.fork(rotate())
      const waiting = `SELECT 1 FROM pg_stat_activity WHERE application_name = '${schema}' AND wait_event_type = 'Lock'`
      yield* Effect.repeat(statements(url, waiting), { until: ([rows]) => rows!.length > 0 })
      yield* query("COMMIT")
      yield* Fiber.join(rotation)
      expect((yield* query(`SELECT id FROM ${schema}.caravel_secret`)).rows).toEqual([])
    }))
})
