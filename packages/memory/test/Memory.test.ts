import {
  ClockTest,
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
import { Memory } from "@caravel/memory"
import { Layer } from "effect"
import { layerStore } from "../src/internal/Store.js"
import { backdoor } from "./backdoor.js"

ClockTest.suite("Memory", Memory.layer)
CommandTest.suite("Memory", Memory.layer)
QueryTest.suite("Memory", Memory.layer)
JournalTest.suite("Memory", Memory.layer)
HistoryTest.suite("Memory", Memory.layer)
ConsumerTest.suite("Memory", Memory.layer)
SecretsTest.suite("Memory", Memory.layer)
FeedTest.suite("Memory", Memory.layer)
PropertyTest.suite("Memory", Memory.layer, { runs: 50 })
// Built together, both layers share one store.
VerificationTest.suite("Memory", Layer.merge(Memory.layer, layerStore), backdoor, { runs: 50 })
