/** A connection to a host: the client of the API, with a credential, and the failures of calls as those of the services. */
import { StorageError } from "@caravel/domain"
import { Backoff, Waiting } from "@caravel/pubsub"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import type * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { type Duration, Effect, flow, identity, type ParseResult, Record as Rec, Redacted, Schedule } from "effect"
import { Api } from "../api/Api.js"
import { maxLimit } from "../api/Parameters.js"
import * as RequestError from "../api/RequestError.js"

/**
 * The options of a connection to a host.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The host's address, such as `https://caravel.example`. */
  readonly url: string | URL
  /** The bearer token. A host without credentials needs none. */
  readonly token?: Redacted.Redacted | undefined
  /** How long a call is tried again while the host cannot be reached. 30 seconds by default. */
  readonly retryFor?: Duration.DurationInput | undefined
}

/**
 * Opens no socket: each call does, or uses one again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options) =>
  Effect.gen(function*() {
    const { token, url } = options
    const http = HttpClient.mapRequest(
      yield* HttpClient.HttpClient,
      flow(
        HttpClientRequest.prependUrl(String(url).replace(/\/$/, "")),
        token === undefined ? identity : HttpClientRequest.bearerToken(Redacted.value(token))
      )
    )
    const client = yield* HttpApiClient.makeWith(Api, { httpClient: http })
    return { client, http, options }
  })

/**
 * @since 0.1.0
 * @category models
 */
export interface Connection extends Effect.Effect.Success<ReturnType<typeof make>> {}

/** What a call can fail with that no service in a process can. */
type CallError =
  | HttpApiError.HttpApiDecodeError
  | HttpClientError.HttpClientError
  | ParseResult.ParseError
  | InstanceType<typeof RequestError[keyof typeof RequestError]>

const isTemporary = (error: CallError) => {
  switch (error._tag) {
    case "RequestError":
      return error.reason === "Transport"
    case "ResponseError":
      // From a proxy: the host itself answers with a problem.
      return [502, 503, 504].includes(error.response.status)
    default:
      return ["ShuttingDown", "TimedOut", "TooManyRequests"].includes(error._tag)
  }
}

const callErrors: ReadonlySet<string> = new Set([
  "HttpApiDecodeError",
  "ParseError",
  "RequestError",
  "ResponseError",
  ...Rec.values(RequestError).map(({ _tag }) => _tag)
])

const isCallError = (error: { readonly _tag: string }): error is CallError => callErrors.has(error._tag)

const storageError = (operation: string, error: CallError) =>
  new StorageError({
    operation,
    cause: error,
    ...(isTemporary(error)
      ? { reason: "unavailable", advice: "the host cannot be reached; try again" }
      : { reason: "other" })
  })

/**
 * Makes a call fail as the services do, and tries it again while the host or its database cannot be reached. A command
 * needs an idempotency key for that.
 *
 * @since 0.1.0
 * @category execution
 */
export const called = (operation: string, { retryFor = "30 seconds" }: Options) => {
  const retried = Waiting.retryWhile(
    Waiting.isTransient,
    Schedule.intersect(Backoff.untilReachable, Schedule.recurUpTo(retryFor))
  )
  return <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) => {
    type Failure = Exclude<E, CallError> | StorageError
    return retried(Effect.mapError(
      call,
      (error): Failure => isCallError(error) ? storageError(operation, error) : error as Exclude<E, CallError>
    ))
  }
}

/**
 * Reads pages until there are no more, or until there are `limit` items.
 *
 * @since 0.1.0
 * @category execution
 */
export const allPages = Effect.fnUntraced(function*<Item, Cursor, E>(
  { after, limit = Infinity }: { readonly after?: Cursor | undefined; readonly limit?: number | undefined },
  read: (page: { readonly cursor?: Cursor; readonly limit: number }) => Effect.Effect<
    { readonly items: ReadonlyArray<Item>; readonly cursor?: string | number | undefined },
    E
  >
) {
  const items: Array<Item> = []
  let cursor = after
  while (items.length < limit) {
    const page = yield* read(present({ cursor, limit: Math.min(limit - items.length, maxLimit) }))
    for (const item of page.items) items.push(item)
    // The key of the page's last item.
    cursor = page.cursor as Cursor | undefined
    if (cursor === undefined) break
  }
  return items
})

/**
 * Reads pages of items after a key, such as a position or a version. The host does not name the key of the next page:
 * it is that of the last item, if the page is full.
 *
 * @since 0.1.0
 * @category execution
 */
export const allAfter = <Item, Key extends number, E>(
  after: Key,
  limit: number | undefined,
  keyOf: (item: Item) => Key,
  read: (page: { readonly after: Key; readonly limit: number }) => Effect.Effect<
    { readonly items: ReadonlyArray<Item> },
    E
  >
): Effect.Effect<ReadonlyArray<Item>, E> =>
  allPages({ after, limit }, ({ cursor = after, limit }) =>
    Effect.map(read({ after: cursor, limit }), ({ items }) => {
      const last = items.length < limit ? undefined : items.at(-1)
      return { items, cursor: last === undefined ? undefined : keyOf(last) }
    }))

type Present<A> = { readonly [Name in keyof A]: Exclude<A[Name], undefined> }

/**
 * A parameter that is absent must not be there as `undefined`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const present = <A extends object>(parameters: A): Present<A> =>
  Rec.filter(parameters as Record<string, unknown>, (value) => value !== undefined) as Present<A>
