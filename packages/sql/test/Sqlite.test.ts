import {
  ClockTest,
  CommandTest,
  ConsumerTest,
  FeedTest,
  GoneBackTest,
  HistoryTest,
  JournalTest,
  PropertyTest,
  QueryTest,
  SecretsTest,
  VerificationTest
} from "@caravel/conformance"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect } from "effect"
import { backdoor } from "./fixtures/backdoor.js"
import { layerEncrypted } from "./fixtures/encrypted.js"
import { olderFile } from "./fixtures/older.js"

ClockTest.suite("SQLite", Sqlite.layerTemporary)
CommandTest.suite("SQLite", Sqlite.layerTemporary)
QueryTest.suite("SQLite", Sqlite.layerTemporary)
JournalTest.suite("SQLite", Sqlite.layerTemporary)
HistoryTest.suite("SQLite", Sqlite.layerTemporary, { runs: 10 })
ConsumerTest.suite("SQLite", Sqlite.layerTemporary)
SecretsTest.suite("SQLite", Sqlite.layerTemporary)
FeedTest.suite("SQLite", Sqlite.layerTemporary)
PropertyTest.suite("SQLite", Sqlite.layerTemporary)
VerificationTest.suite("SQLite", Sqlite.layerTemporary, backdoor)

const filename = Effect.map(
  Effect.flatMap(SqlClient, (sql) => Effect.orDie(sql`SELECT file FROM pragma_database_list WHERE name = 'main'`)),
  ([row]) => String(row?.["file"])
)
GoneBackTest.suite("SQLite", Sqlite.layerTemporary, Effect.flatMap(filename, olderFile))

CommandTest.suite("SQLite with a key", layerEncrypted)
QueryTest.suite("SQLite with a key", layerEncrypted)
SecretsTest.suite("SQLite with a key", layerEncrypted)
