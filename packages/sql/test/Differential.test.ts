import { DifferentialTest } from "@caravel/conformance"
import { Memory } from "@caravel/memory"
import { Sqlite } from "@caravel/sql"

DifferentialTest.suite("memory and SQLite", Memory.layer, Sqlite.layerTemporary)
