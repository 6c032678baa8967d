import {
  CommandTest,
  ConsumerTest,
  FeedTest,
  HistoryTest,
  JournalTest,
  PropertyTest,
  QueryTest
} from "@caravel/conformance"
import { Sqlite } from "@caravel/sql"

CommandTest.suite("SQLite", Sqlite.layerTemporary)
QueryTest.suite("SQLite", Sqlite.layerTemporary)
JournalTest.suite("SQLite", Sqlite.layerTemporary)
HistoryTest.suite("SQLite", Sqlite.layerTemporary, { runs: 20 })
ConsumerTest.suite("SQLite", Sqlite.layerTemporary)
FeedTest.suite("SQLite", Sqlite.layerTemporary)
PropertyTest.suite("SQLite", Sqlite.layerTemporary)
