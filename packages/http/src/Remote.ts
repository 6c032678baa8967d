/** The services of a host, for programs elsewhere: the same program runs beside a database or against a host. */
import {
  type ActivityFeed,
  ActivityPubSub,
  Command,
  History,
  InputLimits,
  Journal,
  Position,
  Query,
  type StorageError
} from "@caravel/domain"
import { Background, Backoff, Consumer, InProcess, Tail } from "@caravel/pubsub"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { Clock, Config, type ConfigError, Context, type Duration, Effect, Layer, Predicate, Stream } from "effect"
import * as Connection from "./remote/Connection.js"
import * as RemoteCommand from "./remote/RemoteCommand.js"
import * as RemoteConsumers from "./remote/RemoteConsumers.js"
import * as RemoteHistory from "./remote/RemoteHistory.js"
import * as RemoteJournal from "./remote/RemoteJournal.js"
import * as RemoteQuery from "./remote/RemoteQuery.js"
import * as RemoteSecret from "./remote/RemoteSecret.js"

/**
 * The options of a connection to a host.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Connection.Options {}

/**
 * What a host offers to programs elsewhere. A command cannot join a transaction of the program's own database.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = Command | Query | History | ActivityPubSub | ActivityFeed

/** Whether the host can wake this process at present. */
interface Following {
  isConnected: boolean
}

/**
 * After how much silence a stream is taken for lost: some heartbeats of a host. Networks forget connections without a
 * word.
 *
 * @since 0.1.0
 * @category configuration
 */
export class LongestSilence extends Context.Reference<LongestSilence>()("@caravel/http/Remote/LongestSilence", {
  defaultValue: (): Duration.DurationInput => "45 seconds"
}) {}

/** In milliseconds. A stream that ends earlier has not worked: a proxy may have answered it, or cut it off. */
const shortestStream = 5000

/**
 * Wakes the tail when the host has something new. The activities themselves are read from the log, in pages, so that
 * nothing is lost when the stream breaks; its heartbeats wake the tail too. Without a stream the log is read before each
 * attempt to connect, and the tail logs why it cannot be.
 */
const layerWakeUps = ({ http }: Connection.Connection, following: Following) =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const { advanceToHead } = yield* Tail.Tail
    const longestSilence = yield* LongestSilence
    const stream = HttpClientRequest.get("/v1/activity/stream", { accept: "application/x-ndjson" }).pipe(
      http.execute,
      Effect.flatMap(HttpClientResponse.filterStatusOk),
      HttpClientResponse.stream,
      Stream.timeoutFail(() => "silence" as const, longestSilence),
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.runForEach(() => Effect.zipRight(Effect.sync(() => following.isConnected = true), advanceToHead))
    )
    yield* Background.run(
      "Following the host",
      stream.pipe(
        Effect.ensuring(Effect.sync(() => following.isConnected = false)),
        Effect.either,
        Effect.summarized(Clock.currentTimeMillis, (start, end) => end - start),
        Effect.zipLeft(advanceToHead),
        Effect.filterOrFail(([millis]) => millis > shortestStream),
        Effect.retry(Backoff.untilReconnected),
        Effect.forever
      )
    )
  }))

/** As beside a database, a command returns when its activity has been broadcast here, unless the host cannot tell. */
const layerCommand = (connection: Connection.Connection, following: Following) =>
  Layer.effect(
    Command,
    Effect.gen(function*() {
      const tail = yield* Tail.Tail
      return RemoteCommand.make(connection, {
        notify: yield* ActivityPubSub,
        limits: yield* InputLimits,
        broadcast: (activities) =>
          Effect.suspend(() => {
            const last = activities.findLast(Predicate.isNotUndefined)
            if (last === undefined || !following.isConnected) return Effect.void
            return tail.awaitAfter(Position.make(last.position - 1)).pipe(
              // Also where the caller cannot be interrupted.
              Effect.interruptible,
              Effect.timeout("1 second"),
              Effect.ignore
            )
          })
      })
    })
  )

const layerServices = (
  connection: Connection.Connection,
  withSecret: RemoteSecret.WithSecret
): Layer.Layer<Services, StorageError> => {
  const following: Following = { isConnected: false }
  const journal = RemoteJournal.make(connection)
  const layerJournal = Layer.succeed(Journal, journal)
  const layerQuery = Layer.succeed(Query, RemoteQuery.make(connection, withSecret))
  return Layer.mergeAll(layerCommand(connection, following), layerWakeUps(connection, following), layerQuery).pipe(
    Layer.provideMerge(Layer.provide(InProcess.layer, Layer.merge(layerJournal, layerQuery))),
    Layer.merge(Layer.succeed(History, RemoteHistory.make(connection, journal)))
  )
}

/**
 * The services of a host, by an `HttpClient` of yours.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (options: Options): Layer.Layer<Services, StorageError, HttpClient.HttpClient> =>
  Layer.unwrapEffect(Effect.map(
    Connection.make(options),
    (connection) => layerServices(connection, RemoteSecret.make(connection))
  ))

/**
 * The services of a host for tools of its operators, with its journal and consumers as far as the API has them: the
 * journal cannot be rebuilt, and no consumer run or waited for. `Query` reads no wallet URL: in place of each is a value
 * that says nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOperator = (
  options: Options
): Layer.Layer<Services | Journal | Consumer.Consumer, StorageError> =>
  Layer.unwrapEffect(Effect.map(Connection.make(options), (connection) =>
    Layer.mergeAll(
      layerServices(connection, RemoteSecret.hidden),
      Layer.succeed(Journal, RemoteJournal.make(connection)),
      Layer.succeed(Consumer.Consumer, RemoteConsumers.make(connection))
    ))).pipe(Layer.provide(FetchHttpClient.layer))

/**
 * The services of a host.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Services, StorageError> =>
  Layer.provide(layerClient(options), FetchHttpClient.layer)

/**
 * The services of the host that the configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Services, ConfigError.ConfigError | StorageError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))
