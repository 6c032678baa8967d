/** Reads of a host's journal. Feeds and the past are built on them, as beside a database. */
import { type Journal, type RecordedEvent, StorageError, type Verification } from "@caravel/domain"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { Array as Arr, DateTime, Effect, Option, Order, Schema, Stream } from "effect"
import * as Problem from "../api/Problem.js"
import { VerifyLine } from "../api/VerifyLine.js"
import { allAfter, answered, called, type Connection, refused, storageError } from "./Connection.js"

/** How many positions the URL of a request names: 2 KB of it, which every proxy accepts. */
const positionsPerRequest = 100

const decodeJson = Schema.decode(Schema.parseJson())
const decodeLine = Schema.decodeUnknown(VerifyLine)

/** A line of a verification, or its end, which must not come before the last line. */
const lineOf = (text: string | undefined) =>
  Effect.gen(function*() {
    if (text === undefined) return yield* cutOff
    const json = yield* decodeJson(text)
    const problem = Problem.decode(json)
    return Option.isSome(problem) ? yield* refused(problem.value) : yield* decodeLine(json)
  }).pipe(Effect.mapError((error) => storageError("verify", error)))

const cutOff = new StorageError({
  reason: "unavailable",
  operation: "verify",
  cause: new Error("the answer of the host was cut off"),
  advice: "verify again"
})

const isStep = (line: typeof VerifyLine.Type): line is Verification => !("complete" in line)

/** The host sends empty lines while it has no step to tell. */
const verification = ({ http, options }: Connection): Stream.Stream<Verification, StorageError> =>
  HttpClientRequest.post("/v1/verify").pipe(
    http.execute,
    Effect.filterOrElse(
      ({ status }) => status === 200,
      (response) => Effect.flatMap(response.json, (json) => refused(Option.getOrNull(Problem.decode(json)) ?? response))
    ),
    called("verify", options),
    Effect.map(({ stream }) =>
      stream.pipe(
        Stream.mapError((error) => storageError("verify", error)),
        Stream.toPull,
        Effect.map((part) =>
          Effect.mapError(
            answered("verify", options)(part),
            (error) => Option.isOption(error) ? error : Option.some(error)
          )
        ),
        Stream.fromPull
      )
    ),
    Stream.unwrap,
    Stream.decodeText(),
    Stream.splitLines,
    Stream.filter((line) => line !== ""),
    Stream.concat(Stream.succeed(undefined)),
    Stream.mapEffect(lineOf),
    Stream.takeUntil((line) => !isStep(line)),
    Stream.filter(isStep)
  )

/**
 * All but repairing the rows.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (connection: Connection): typeof Journal.Service => {
  const { client: { journal: routes }, options } = connection
  const journal = routes.journal({}).pipe(called("journal", options))
  const epochs = Effect.map(journal, ({ epochs }) => epochs)
  const unused = (operation: string) =>
    new StorageError({ reason: "other", operation, cause: new Error("only the host can do this") })

  return {
    head: Effect.map(journal, ({ head }) => head),
    epochs,
    epoch: Effect.map(epochs, (epochs) => Arr.lastNonEmpty(epochs).epoch),
    positionAt: (instant) =>
      routes.positionAt({ urlParams: { instant: DateTime.formatIso(instant) } }).pipe(
        called("positionAt", options),
        Effect.map(({ position }) => position)
      ),
    read: (after, limit) =>
      allAfter(after, limit, positionOf, (urlParams) => routes.events({ urlParams }).pipe(called("events", options))),
    readTenant: (pubkey, after, limit) =>
      allAfter(
        after,
        limit,
        positionOf,
        (urlParams) => routes.meteredEvents({ path: { pubkey }, urlParams }).pipe(called("meteredEvents", options))
      ),
    readResource: ({ resourceId, resourceType }, after, limit) =>
      allAfter(after, limit, versionOf, (urlParams) =>
        (resourceType === "tenant"
          ? routes.tenantEvents({ path: { pubkey: resourceId }, urlParams })
          : routes.relayEvents({ path: { id: resourceId }, urlParams })).pipe(called("resourceEvents", options))),
    at: (positions) =>
      Effect.forEach(
        Arr.chunksOf(Arr.dedupe(Arr.sort(positions, Order.number)), positionsPerRequest),
        (position) =>
          routes.events({ urlParams: { position, limit: positionsPerRequest } }).pipe(called("at", options)),
        { concurrency: 4 }
      ).pipe(Effect.map(Arr.flatMap(({ items }) => items))),
    verify: verification(connection),
    rebuild: () => unused("rebuild")
  }
}

const positionOf = ({ position }: RecordedEvent) => position

const versionOf = ({ version }: RecordedEvent): number => version
