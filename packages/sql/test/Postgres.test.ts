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
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Redacted } from "effect"
import { key } from "./fixtures/encrypted.js"
import { olderSchema } from "./fixtures/older.js"
import { layerTemporary, withPostgres } from "./fixtures/postgres.js"
import { backdoor } from "./fixtures/postgresBackdoor.js"

withPostgres("PostgreSQL", (url) => {
  const layer = layerTemporary(url)
  ClockTest.suite("PostgreSQL", layer)
  CommandTest.suite("PostgreSQL", layer)
  QueryTest.suite("PostgreSQL", layer)
  JournalTest.suite("PostgreSQL", layer)
  HistoryTest.suite("PostgreSQL", layer, { runs: 5 })
  ConsumerTest.suite("PostgreSQL", layer)
  SecretsTest.suite("PostgreSQL", layer)
  FeedTest.suite("PostgreSQL", layer)
  PropertyTest.suite("PostgreSQL", layer, { runs: 5 })
  VerificationTest.suite("PostgreSQL", layer, backdoor, { runs: 5 })

  const schema = Effect.map(
    Effect.flatMap(SqlClient, (sql) => Effect.orDie(sql`SELECT current_schema() AS schema`)),
    ([row]) => String(row?.["schema"])
  )
  GoneBackTest.suite("PostgreSQL", layer, Effect.flatMap(schema, (schema) => olderSchema(url, schema)))

  const encrypted = layerTemporary(url, { secretKeys: [Redacted.make(key)] })
  QueryTest.suite("PostgreSQL with a key", encrypted)
  SecretsTest.suite("PostgreSQL with a key", encrypted)
})
