import { type Command, Query } from "@caravel/domain"
import { Remote } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Sqlite } from "@caravel/sql"
import { pubkey } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import process from "node:process"
import { signUp } from "../src/signUp.js"
import { host, temporarySchema } from "./host.js"

/** The tests, which do not know where the services are. */
const suite = <E>(where: string, layer: Layer.Layer<Command | Query, E>) =>
  describe(`signing up, ${where}`, () => {
    it.scopedLive("creates the tenant and its relay, or nothing", () =>
      Effect.gen(function*() {
        const query = yield* Query
        expect(yield* signUp(pubkey("alice"), "alice")).toMatchObject({ id: "relay-alice", status: "active" })
        expect(yield* Effect.flip(signUp(pubkey("bob"), "alice"))).toMatchObject({ _tag: "RelayAlreadyExists" })
        expect((yield* query.tenants).map(({ pubkey }) => pubkey)).toEqual([pubkey("alice")])
      }).pipe(Effect.provide(layer)))
  })

suite("in memory", Memory.layer)
suite("on SQLite", Sqlite.layerTemporary)

const url = process.env["CARAVEL_TEST_POSTGRES_URL"]
if (url === undefined) it.skip("on PostgreSQL: set CARAVEL_TEST_POSTGRES_URL", () => {})
else suite("on PostgreSQL", temporarySchema(url))

suite(
  "at a host",
  Layer.unwrapScoped(Effect.gen(function*() {
    const services = yield* Layer.build(Sqlite.layerTemporary)
    return Remote.layer({ url: yield* host(services) })
  }))
)
