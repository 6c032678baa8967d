import { StorageError } from "@caravel/domain"
import { Effect } from "effect"
import { toStorageError } from "../database/StorageErrors.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { postgres } from "./PostgresDialect.js"

const notAllowed = new StorageError({
  reason: "readonly",
  operation: "overwriting what was deleted",
  cause: new Error("only the owner of the table caravel_secret can rewrite it"),
  advice: "erase or rotate again as the owner"
})

const file = "SELECT pg_relation_filenode('caravel_secret')"

/**
 * Makes the server rewrite the table of secrets without deleted rows, and remove the old file. Deleted secrets remain
 * in its write-ahead log, archives and replicas for as long as these are kept.
 */
export const make = (config: Config): Effect.Effect<void, StorageError> =>
  Effect.gen(function*() {
    const connection = yield* PostgresConnection.connect(config)
    const [[before] = []] = yield* connection.executeValues(file, [])
    yield* connection.executeRaw("SET lock_timeout = '10s'; SET statement_timeout = 0", [])
    yield* connection.executeRaw("VACUUM (FULL) caravel_secret", [])
    const [[after] = []] = yield* connection.executeValues(file, [])
    // Without the privilege, the server only returns a warning.
    if (after === before) return yield* notAllowed
  }).pipe(
    Effect.scoped,
    Effect.catchTag("SqlError", (error) => Effect.fail(toStorageError(postgres, "overwriting what was deleted")(error)))
  )
