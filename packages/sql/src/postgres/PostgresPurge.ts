import { StorageError } from "@caravel/domain"
import { Clock, Effect, Schedule } from "effect"
import { toStorageError } from "../database/StorageErrors.js"
import type { Config } from "./PostgresClient.js"
import * as PostgresConnection from "./PostgresConnection.js"
import { postgres } from "./PostgresDialect.js"

const operation = "overwriting what was deleted"

const notAllowed = new StorageError({
  reason: "readonly",
  operation,
  cause: new Error("only the owner of the table caravel_secret can rewrite it"),
  advice: "erase or rotate again as the owner"
})

const stillRead = new StorageError({
  reason: "busy",
  operation,
  cause: new Error("a transaction reads an older state of the database, and needs the deleted rows"),
  advice: "end it (the oldest in pg_stat_activity), and erase or rotate again"
})

const toError = toStorageError(postgres, operation)

const file = "SELECT pg_relation_filenode('caravel_secret')"

const rewrite = (connection: PostgresConnection.PostgresConnection) =>
  Effect.gen(function*() {
    // The server reports how many deleted rows it has kept for older snapshots. It translates all but the number.
    let kept = 0
    connection.client.removeAllListeners("notice").on("notice", ({ detail }) => {
      kept += Number(/\d+/.exec(detail ?? "")?.[0] ?? 0)
    })
    const [[before] = []] = yield* connection.executeValues(file, [])
    yield* connection.executeRaw("VACUUM (FULL, VERBOSE) caravel_secret", [])
    const [[after] = []] = yield* connection.executeValues(file, [])
    // Without the privilege, the server only returns a warning.
    if (after === before) return yield* notAllowed
    if (kept > 0) return yield* stillRead
  }).pipe(Effect.catchTag("SqlError", (error) => Effect.fail(toError(error))))

/** How long a purge waits for other transactions to end, in real time. */
const whileRead = Schedule.spaced("250 millis").pipe(Schedule.jittered, Schedule.upTo("10 seconds"))

/**
 * Makes the server rewrite the table of secrets without deleted rows, and remove the old file. Deleted secrets remain
 * in its write-ahead log, archives and replicas for as long as these are kept.
 */
export const make = (config: Config): Effect.Effect<void, StorageError> =>
  PostgresConnection.connect(config).pipe(
    // While the statement waits for its lock, all others that need the table wait behind it.
    Effect.tap(({ executeRaw }) => executeRaw("SET lock_timeout = '1s'; SET statement_timeout = 0", [])),
    Effect.mapError(toError),
    Effect.flatMap((connection) =>
      Effect.retry(rewrite(connection), { while: ({ reason }) => reason === "busy", schedule: whileRead })
    ),
    Effect.withClock(Clock.make()),
    Effect.scoped
  )
