import {
  CommandTest,
  ConsumerTest,
  FeedTest,
  HistoryTest,
  JournalTest,
  PropertyTest,
  QueryTest,
  SecretsTest,
  VerificationTest
} from "@caravel/conformance"
import { Sqlite } from "@caravel/sql"
import { backdoor } from "./fixtures/backdoor.js"
import { layerEncrypted } from "./fixtures/encrypted.js"

CommandTest.suite("SQLite", Sqlite.layerTemporary)
QueryTest.suite("SQLite", Sqlite.layerTemporary)
JournalTest.suite("SQLite", Sqlite.layerTemporary)
HistoryTest.suite("SQLite", Sqlite.layerTemporary, { runs: 20 })
ConsumerTest.suite("SQLite", Sqlite.layerTemporary)
SecretsTest.suite("SQLite", Sqlite.layerTemporary)
FeedTest.suite("SQLite", Sqlite.layerTemporary)
PropertyTest.suite("SQLite", Sqlite.layerTemporary)
VerificationTest.suite("SQLite", Sqlite.layerTemporary, backdoor)

CommandTest.suite("SQLite with a key", layerEncrypted)
QueryTest.suite("SQLite with a key", layerEncrypted)
SecretsTest.suite("SQLite with a key", layerEncrypted)
