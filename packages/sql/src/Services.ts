/** What every database gives, and how it is put together. */
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
import * as Import from "./move/import/Import.js"
import * as SqlJournal from "./read/SqlJournal.js"
import * as SqlQuery from "./read/SqlQuery.js"
import * as SqlWriter from "./write/SqlWriter.js"

/** Every service, and the client that the caller's own statements and transactions go through. */
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
  | Import.Import
  | SqlClient

/** What is committed could not be broadcast any more, and would be built on what is no longer there: everything else fails too. */
const refusal = Layer.scopedDiscard(Effect.gen(function*() {
  const { fail } = yield* Database
  const tail = yield* Tail.Tail
  const refuse = Effect.catchAll(tail.ended, (cause) =>
    fail(
      cause._tag === "StorageError"
        ? cause
        : new StorageError({ reason: "replaced", operation: "following the journal", cause })
    ))
  yield* Background.run("Refusing what a replaced database is asked", refuse)
}))

/** The services over an opened database, and what notices that others have committed to it. */
export const layer = (
  database: Layer.Layer<Database, StorageError>,
  watch: Layer.Layer<never, StorageError, Database | Tail.Tail>
): Layer.Layer<Services, StorageError> => {
  const client = Layer.effect(SqlClient, Effect.map(Database, ({ sql }) => sql))
  return Layer.mergeAll(SqlSecrets.layer, Import.layer, Consumer.layer, History.layer, client, watch, refusal)
    .pipe(
      Layer.provideMerge(SqlWriter.layer),
      Layer.provideMerge(Layer.merge(InProcess.layer, SqlConsumerStore.layer)),
      Layer.provideMerge(Layer.merge(SqlJournal.layer, SqlQuery.layer)),
      Layer.provide(database)
    )
}
