/** A command that is interrupted in a transaction: it is there as a whole or not at all, and the transaction goes on. */
import { LongRun } from "@caravel/conformance"
import { Command, Journal, Query, type StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { type Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, Option, Stream } from "effect"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"

const rounds = LongRun.count("CARAVEL_INTERRUPTIONS", { usual: 60, long: 600 })

const pubkey = (n: number) => n.toString(16).padStart(64, "0")

const suite = (layer: Layer.Layer<Postgres.Services, StorageError>) =>
  it.scopedLive(
    "a command that is interrupted at any moment in a transaction is prevented or decided, and the next one succeeds",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const command = yield* Command
        const query = yield* Query
        const lists = [1, 40].map((relays) => (n: number) => [
          { _tag: "CreateTenant" as const, pubkey: pubkey(n) },
          ...Array.from({ length: relays }, (_, i) => {
            const id = `${n}-${i}`
            return { _tag: "CreateRelay" as const, id, tenant: pubkey(n), subdomain: id }
          })
        ])
        for (let round = 0; round < rounds; round++) {
          const [first, second] = [2 * round, 2 * round + 1]
          const list = lists[round % 2]!(first)
          yield* sql.withTransaction(Effect.gen(function*() {
            const running = yield* Effect.fork(command.submit(list))
            // The turns of the event loop until then.
            yield* Effect.repeatN(nextTurn, Math.floor(round / 2) % 15)
            yield* Fiber.interrupt(running)
            yield* command.createTenant({ pubkey: pubkey(second) })
          }))
          const relays = yield* query.relaysOf(pubkey(first))
          expect([0, list.length - 1]).toContain(relays.length)
          expect(Option.isSome(yield* query.tenant(pubkey(first)))).toBe(relays.length > 0)
          expect(Option.isSome(yield* query.tenant(pubkey(second)))).toBe(true)
        }
        const steps = yield* Stream.runCollect((yield* Journal).verify)
        expect([...steps].flatMap(({ differences }) => differences)).toEqual([])
      }).pipe(Effect.provide(layer)),
    LongRun.timeout(60_000)
  )

suite(Sqlite.layerTemporary)
withPostgres("PostgreSQL", (url) => suite(layerTemporary(url)))
