import { Journal, Position, type Pubkey, type RelayId, type StorageError } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import { Database } from "../../src/database/Database.js"
import * as SqlJournal from "../../src/read/SqlJournal.js"
import * as Tables from "../../src/schema/Tables.js"
import { sqlite } from "../../src/sqlite/SqliteDialect.js"
import { planOf } from "../fixtures/sqlite.js"

/** The statement that a read of the journal runs, with its parameters. */
const statementOf = (read: (journal: typeof Journal.Service) => Effect.Effect<unknown, StorageError>) =>
  Effect.gen(function*() {
    let statement: readonly [string, ReadonlyArray<unknown>] = ["", []]
    const database = Layer.mock(Database, {
      dialect: sqlite,
      tables: Tables.make(sqlite),
      idempotencyKeysKept: Duration.zero,
      holderBounds: [],
      clockTolerance: Duration.zero,
      transactionOf: () => undefined,
      readCommitted: (_operation, text, params, decode) => {
        statement = [text, params]
        return Effect.orDie(decode([]))
      }
    })
    yield* Effect.provide(Effect.flatMap(Journal, read), Layer.provide(SqlJournal.layer, database))
    return statement
  })

/** SQLite's query plan of a read of the journal. */
const planOfRead = (read: Parameters<typeof statementOf>[0]) =>
  Effect.flatMap(statementOf(read), ([text, params]) => planOf(text, params))

const position = Position.make(0)

it.scoped("a read finds its first row by an index, reads in the order of the index, and sorts nothing", () =>
  Effect.gen(function*() {
    const relay = { resourceType: "relay", resourceId: "a" as RelayId } as const
    expect(yield* planOfRead((journal) => journal.read(position, 10))).toEqual([
      "SEARCH caravel_event USING INTEGER PRIMARY KEY (rowid>?)"
    ])
    expect(yield* planOfRead((journal) => journal.readResource(relay, 0, 10))).toEqual([
      expect.stringMatching(
        /^SEARCH caravel_event USING INDEX sqlite_autoindex_caravel_event_\d \(resource_id=\? AND resource_type=\? AND resource_version>\?\)$/
      )
    ])
    expect(yield* planOfRead((journal) => journal.readTenant("a".repeat(64) as Pubkey, position, 10))).toEqual([
      "SEARCH caravel_event USING INDEX caravel_event_tenant (tenant=? AND rowid>?)"
    ])
  }).pipe(Effect.provide(Sqlite.layerTemporary)))
