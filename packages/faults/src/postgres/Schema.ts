/** Schemas for the search, on the PostgreSQL server that the environment names. */
import { PostgresSchema } from "@caravel/bench"
import { Effect, Random, type Scope } from "effect"
import process from "node:process"

/** The URL of the server. */
const server = process.env["CARAVEL_TEST_POSTGRES_URL"] ?? ""

/** A schema that is dropped with the scope, as a URL whose connections are named after it. */
export const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const name = `caravel_faults_${process.pid}_${yield* Random.nextIntBetween(0, 2 ** 31)}`
  yield* Effect.acquireRelease(
    PostgresSchema.execute(server, `CREATE SCHEMA ${name}`),
    () => PostgresSchema.execute(server, `DROP SCHEMA ${name} CASCADE`)
  )
  const url = new URL(server)
  url.searchParams.set("options", `-c search_path=${name}`)
  url.searchParams.set("application_name", name)
  return url.href
})
