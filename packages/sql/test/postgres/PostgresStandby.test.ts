import { ActivityFeed, Command, History, Journal, Query } from "@caravel/domain"
import { Backup, Postgres, Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Context, Effect, Layer, Redacted, Stream } from "effect"
import { hasServer, ownServer } from "../fixtures/postgresServer.js"
import { temporaryFile } from "../fixtures/sqlite.js"

const pubkey = "a".repeat(64)

const at = (url: string) => Layer.fresh(Postgres.layer({ url: Redacted.make(url), wakeUps: "poll" }))

if (!hasServer) process.stderr.write("a hot standby skipped: PostgreSQL's own programs are not installed\n")

describe.skipIf(!hasServer)("a hot standby", () => {
  it.scopedLive(
    "serves queries, feeds, history, verify and backup, and refuses commands",
    () =>
      Effect.gen(function*() {
        const primary = yield* ownServer()
        const command = Context.get(yield* Layer.build(at(primary.url)), Command)
        yield* command.createTenant({ pubkey })
        const relay = { id: "a", tenant: pubkey, subdomain: "a" }
        yield* command.createRelay(relay)

        const standby = yield* ownServer({ standbyOf: primary.port })
        const context = yield* Layer.build(at(standby.url))
        yield* Effect.gen(function*() {
          const journal = yield* Journal
          const { position } = yield* command.deactivateRelay({ id: "a" })
          // The activity arrives by polling, once the standby has it.
          const activities = yield* Stream.runCollect(Stream.take((yield* ActivityFeed).since(0), 3))
          expect(Chunk.toReadonlyArray(activities).map(({ position }) => position)).toEqual([1, 2, position])
          expect(yield* (yield* Query).relays).toMatchObject([{ id: "a", status: "inactive" }])
          const history = yield* History
          expect(yield* Stream.runCollect(history.events({ resourceType: "relay", resourceId: "a" }))).toHaveLength(2)
          const steps = yield* Stream.runCollect(journal.verify)
          expect(Chunk.last(steps)).toMatchObject({ value: { events: position, differences: [] } })
          const refused = yield* Effect.flip((yield* Command).activateRelay({ id: "a" }))
          expect(refused).toMatchObject({ _tag: "StorageError", reason: "readonly" })

          const to = yield* temporaryFile
          yield* Backup.backup({ from: { url: Redacted.make(standby.url) }, to })
          const kept = yield* Effect.provide(
            Effect.flatMap(Query, (query) => query.relays),
            Sqlite.layer({ filename: to })
          )
          expect(kept).toMatchObject([{ id: "a", status: "inactive" }])
        }).pipe(Effect.provide(context))
      }),
    120_000
  )
})
