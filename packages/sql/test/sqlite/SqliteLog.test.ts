import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { statSync } from "node:fs"
import { join } from "node:path"
import { raw, temporaryDirectory } from "../fixtures/sqlite.js"

const tenant = "a".repeat(64)
const mebibytes = 2 ** 20

describe("the write-ahead log", () => {
  it.scopedLive("is cut once a long reader has ended", () =>
    Effect.gen(function*() {
      const filename = join(yield* temporaryDirectory, "caravel.db")
      const command = Context.get(yield* Layer.build(Sqlite.layer({ filename, synchronous: "normal" })), Command)
      yield* command.createTenant({ pubkey: tenant })
      const ids = Array.from({ length: 64 }, (_, n) => `r${n}`)
      yield* Effect.forEach(ids, (id) => command.createRelay({ id, tenant, subdomain: id }), {
        concurrency: "unbounded"
      })
      const size = () => statSync(`${filename}-wal`).size
      const write = Effect.forEach(ids, (id) => command.failRelaySync({ id }, "x".repeat(10_000)), {
        concurrency: "unbounded"
      })

      const reader = yield* raw(filename)
      reader.exec("BEGIN; SELECT count(*) FROM caravel_event")
      yield* Effect.repeat(write, { until: () => size() > 80 * mebibytes })
      reader.exec("COMMIT")
      yield* Effect.repeat(write, { until: () => size() <= 64 * mebibytes })
    }), 60_000)
})
