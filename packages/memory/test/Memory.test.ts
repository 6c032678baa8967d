import {
  CommandTest,
  ConsumerTest,
  FeedTest,
  HistoryTest,
  JournalTest,
  PropertyTest,
  QueryTest
} from "@caravel/conformance"
import { Memory } from "@caravel/memory"

CommandTest.suite("Memory", Memory.layer)
QueryTest.suite("Memory", Memory.layer)
JournalTest.suite("Memory", Memory.layer)
HistoryTest.suite("Memory", Memory.layer)
ConsumerTest.suite("Memory", Memory.layer)
FeedTest.suite("Memory", Memory.layer)
PropertyTest.suite("Memory", Memory.layer, { runs: 100 })
