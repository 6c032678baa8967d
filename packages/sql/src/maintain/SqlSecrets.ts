import { Command, Secrets, StorageError } from "@caravel/domain"
import { Effect, Layer, Schema } from "effect"
import { Database } from "../database/Database.js"
import { toStorageError } from "../database/StorageErrors.js"
import * as Script from "../statement/StatementScript.js"

/** The number of secrets rewritten in one transaction: a few milliseconds of work. */
const pageSize = 256

const decodeCount = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.NonNegativeInt)))

/** The secrets in the table `caravel_secret`. */
export const layer: Layer.Layer<Secrets, never, Command | Database> = Layer.effect(
  Secrets,
  Effect.gen(function*() {
    const { currentTransaction, dialect, purge, readCommitted, tables: { secret }, transact } = yield* Database
    const others = "FROM caravel_secret WHERE key_id IS DISTINCT FROM ?"
    const page = `SELECT ${secret.columns()} ${others} AND id > ? ORDER BY id LIMIT ${pageSize}`

    /** Rewrites the page of secrets after this id with the current key, and returns their ids. */
    const rotatePage = (after: string) =>
      transact(({ connection }) =>
        Effect.gen(function*() {
          const secrets = yield* secret.decode(yield* connection.executeValues(page, [secret.keyId, after]))
          yield* Script.run(connection, Script.execute(secret.rewrite(secrets)))
          return secrets.map(({ id }) => id)
        })
      ).pipe(Effect.mapError(toStorageError(dialect, "Secrets.rotate")))

    const secrets = Secrets.make({
      command: yield* Command,
      purge,
      rotate: (onStep) =>
        Effect.gen(function*() {
          const [[total]] = yield* readCommitted(
            "Secrets.rotate",
            `SELECT count(*) ${others}`,
            [secret.keyId],
            decodeCount
          )
          let rotated = 0
          let ids: ReadonlyArray<string> = []
          do {
            ids = yield* rotatePage(ids.at(-1) ?? "")
            rotated += ids.length
            yield* onStep({ rotated, total: Math.max(rotated, total) })
          } while (ids.length === pageSize)
          return rotated
        })
    })

    const outside = (operation: string) =>
      Effect.flatMap(currentTransaction, (transaction) =>
        transaction === undefined
          ? Effect.void
          : new StorageError({ reason: "other", operation, cause: new Error("it cannot be part of a transaction") }))

    return {
      eraseTenantSecrets: (tenant) =>
        Effect.zipRight(outside("Secrets.eraseTenantSecrets"), secrets.eraseTenantSecrets(tenant)),
      rotate: (onStep) => Effect.zipRight(outside("Secrets.rotate"), secrets.rotate(onStep))
    }
  })
)
