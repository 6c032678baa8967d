import {
  CommandTest,
  ConsumerTest,
  FeedTest,
  JournalTest,
  PropertyTest,
  QueryTest,
  VerificationTest
} from "@caravel/conformance"
import { Sqlite } from "@caravel/sql"
import { backdoor } from "./fixtures/backdoor.js"

CommandTest.suite("SQLite", Sqlite.layerTemporary)
QueryTest.suite("SQLite", Sqlite.layerTemporary)
JournalTest.suite("SQLite", Sqlite.layerTemporary)
ConsumerTest.suite("SQLite", Sqlite.layerTemporary)
FeedTest.suite("SQLite", Sqlite.layerTemporary)
PropertyTest.suite("SQLite", Sqlite.layerTemporary)
VerificationTest.suite("SQLite", Sqlite.layerTemporary, backdoor)
