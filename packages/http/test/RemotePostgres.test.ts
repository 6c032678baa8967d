import { describe, it } from "@effect/vitest"
import process from "node:process"
import { layerTemporary, url } from "./fixtures/postgres.js"
import { suites } from "./fixtures/remote.js"

if (url === undefined) {
  process.stderr.write("Remote on PostgreSQL skipped: set CARAVEL_TEST_POSTGRES_URL\n")
  describe("Remote on PostgreSQL", () => it.skip("skipped: set CARAVEL_TEST_POSTGRES_URL", () => {}))
} else suites("PostgreSQL", layerTemporary(url))
