/** Where the services are, by the environment. */
import type { ActivityFeed, Command, Query, StorageError } from "@caravel/domain"
import { Remote } from "@caravel/http"
import { Memory } from "@caravel/memory"
import { Postgres, Sqlite } from "@caravel/sql"
import { Config, Effect, Layer, Option, Redacted } from "effect"

const settings = Config.all({
  server: Config.option(Config.string("CARAVEL_SERVER")),
  token: Config.option(Config.redacted("CARAVEL_TOKEN")),
  database: Config.option(Config.redacted("CARAVEL_DATABASE"))
})

/** A host, with `CARAVEL_SERVER` and its `CARAVEL_TOKEN`; a file or `postgres://…`, with `CARAVEL_DATABASE`; or memory. */
export const layer = Layer.unwrapEffect(
  Effect.map(settings, ({ database, server, token }) => {
    const chosen: Layer.Layer<ActivityFeed | Command | Query, StorageError> = Option.isSome(server)
      ? Remote.layer({ url: server.value, token: Option.getOrUndefined(token) })
      : Option.isNone(database)
      ? Memory.layer
      : Redacted.value(database.value).startsWith("postgres")
      ? Postgres.layer({ url: database.value })
      : Sqlite.layer({ filename: Redacted.value(database.value) })
    return chosen
  })
)
