import { Sqlite } from "@caravel/sql"
import { suites } from "./fixtures/remote.js"

suites("SQLite", Sqlite.layerTemporary)
