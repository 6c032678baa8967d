/** The services that every database provides, and the layer that builds them. */
import {
  type ActivityFeed,
  type ActivityPubSub,
  type Command,
  History,
  type Journal,
  type Query,
  type Secrets,
  StorageError
} from "@caravel/domain"
import { Background, Consumer, type ConsumerStore, InProcess, Tail } from "@caravel/pubsub"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Layer } from "effect"
import * as SqlConsumerStore from "./consume/SqlConsumerStore.js"
import { Database } from "./database/Database.js"
import * as SqlSecrets from "./maintain/SqlSecrets.js"
import * as SqlActivityLog from "./read/SqlActivityLog.js"
import * as SqlJournal from "./read/SqlJournal.js"
import * as SqlQuery from "./read/SqlQuery.js"
import * as SqlWriter from "./write/SqlWriter.js"

/**
 * Every service of Caravel, and the `SqlClient` for the caller's own statements and transactions. `Import` writes to
 * `Database`, which is not exported, and broadcasts through `Tail`.
 */
export type Services =
  | Command
  | Query
  | Journal
  | History
  | Secrets
  | ActivityPubSub
  | ActivityFeed
  | Consumer.Consumer
  | ConsumerStore.ConsumerStore
  | SqlClient
  | Database
  | Tail.Tail

/**
 * Makes every operation fail once the tail has ended: commits could no longer be broadcast, and would build on a state
 * that is gone.
 */
const refusal = Layer.scopedDiscard(Effect.gen(function*() {
  const { fail } = yield* Database
  const tail = yield* Tail.Tail
  const refuse = Effect.catchAll(tail.ended, (cause) =>
    fail(
      cause._tag === "StorageError"
        ? cause
        : new StorageError({ reason: "replaced", operation: "following the journal", cause })
    ))
  yield* Background.run("Refusing operations on a replaced database", refuse)
}))

/** The services on an open database. `watch` notices the commits of other processes. */
export const layer = (
  database: Layer.Layer<Database, StorageError>,
  watch: Layer.Layer<never, StorageError, Database | Tail.Tail>
): Layer.Layer<Services, StorageError> => {
  const client = Layer.effect(SqlClient, Effect.map(Database, ({ sql }) => sql))
  return Layer.mergeAll(SqlSecrets.layer, Consumer.layerService, History.layer, client, watch, refusal)
    .pipe(
      Layer.provideMerge(SqlWriter.layer),
      Layer.provideMerge(
        Layer.merge(Layer.provide(InProcess.layerOverLog, SqlActivityLog.layer), SqlConsumerStore.layer)
      ),
      Layer.provideMerge(Layer.merge(SqlJournal.layer, SqlQuery.layer)),
      Layer.provideMerge(database)
    )
}
