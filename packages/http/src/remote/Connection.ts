/** A connection to a host: the client of the API, with a credential, and the failures of calls as those of the services. */
import { issuesOf, StorageError } from "@caravel/domain"
import { Backoff, Waiting } from "@caravel/pubsub"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import type * as HttpApiError from "@effect/platform/HttpApiError"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import {
  type Duration,
  Effect,
  Fiber,
  flow,
  identity,
  ParseResult,
  Predicate,
  Record as Rec,
  Redacted,
  Schedule
} from "effect"
import { Api } from "../api/Api.js"
import { maxLimit } from "../api/Parameters.js"
import type * as Problem from "../api/Problem.js"
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
  /**
   * How long the host may take for an answer. 70 seconds by default, as a host gives up after a minute. If yours has a
   * longer `requestTimeout`, this must be longer, too.
   */
  readonly timeout?: Duration.DurationInput | undefined
}

const unusable = (why: string) =>
  new StorageError({ operation: "connecting to the host", reason: "other", cause: new Error(why) })

/** A password would be in errors, and what comes after the path would be lost. Neither is shown. Both may be empty. */
const addressOf = ({ url }: Options): Effect.Effect<string, StorageError> => {
  const address = URL.canParse(String(url)) ? new URL(url) : undefined
  return address !== undefined && /^https?:$/.test(address.protocol) &&
      address.username + address.password + address.search + address.hash === ""
    ? Effect.succeed(address.origin + address.pathname.replace(/\/$/, ""))
    : unusable("url is not the URL of a host, such as https://caravel.example")
}

/** A text that does not fit into a header would be in the error of the client. */
const tokenOf = ({ token }: Options): Effect.Effect<string | undefined, StorageError> => {
  const text = token === undefined ? undefined : Redacted.value(token)
  return text === undefined || /^[\x21-\x7e]+$/.test(text) ? Effect.succeed(text) : unusable("token is not a token")
}

/** The host itself answers every error with a problem. */
const isProblem = ({ headers }: HttpClientResponse.HttpClientResponse) =>
  headers["content-type"]?.startsWith("application/problem+json") === true

/**
 * Opens no socket: each call does, or uses one again. Fails if the options cannot be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options) =>
  Effect.gen(function*() {
    const token = yield* tokenOf(options)
    const http = (yield* HttpClient.HttpClient).pipe(
      HttpClient.mapRequest(flow(
        HttpClientRequest.prependUrl(yield* addressOf(options)),
        token === undefined ? identity : HttpClientRequest.bearerToken(token)
      )),
      HttpClient.filterOrFail(
        (response) => response.status < 400 || isProblem(response),
        (response) => new HttpClientError.ResponseError({ request: response.request, response, reason: "StatusCode" })
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

/** An error and what caused it, outermost first. */
const causesOf = (error: unknown): ReadonlyArray<unknown> =>
  Predicate.hasProperty(error, "cause") && error.cause !== undefined ? [error, ...causesOf(error.cause)] : [error]

/** Failures that trying again does not change, by the codes of Node, each with advice. */
const permanent: ReadonlyArray<readonly [codes: RegExp, advice: string]> = [
  [/^ENOTFOUND$/, "there is no such host: check its name in the URL"],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "the certificate is for another host: use the name in the certificate"],
  [
    /CERT|^UNABLE_TO_|^INVALID_(CA|PURPOSE)$/,
    "the certificate is not trusted: NODE_EXTRA_CA_CERTS can name the authority that signed it"
  ],
  [/^(EPROTO$|ERR_(SSL|OSSL|TLS)_)/, "TLS negotiation failed: check whether the URL begins with http or https"]
]

const codesOf = (error: unknown) =>
  causesOf(error).flatMap((cause) => Predicate.hasProperty(cause, "code") ? [String(cause.code)] : [])

const permanentAdvice = (error: unknown) =>
  permanent.find(([codes]) => codesOf(error).some((code) => codes.test(code)))?.[1]

const isTemporary = (error: CallError) => {
  switch (error._tag) {
    case "RequestError":
      return error.reason === "Transport" && permanentAdvice(error) === undefined
    case "ResponseError":
      // The answer broke off, or is a proxy's.
      return error.reason === "Decode"
        ? !(error.cause instanceof SyntaxError || error.cause === undefined || ParseResult.isParseError(error.cause))
        : error.response.status === 429 || error.response.status > 501
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

/**
 * What a person can act on. Of a failed request, the innermost error names the reason; of an answer, its status. An
 * error of the client has the request with its token and its body, so it is not part of this.
 */
const causeOf = (error: CallError): Error => {
  switch (error._tag) {
    case "RequestError": {
      const reasons = causesOf(error.cause).flatMap((cause) => cause instanceof Error ? [cause.message] : [])
      const why = reasons.findLast((reason) => reason !== "") ?? codesOf(error).at(-1) ?? error.message
      return new Error(`${new URL(error.request.url).origin}: ${why}`, { cause: error.cause })
    }
    case "ResponseError":
      return new Error(
        isTemporary(error) && error.reason === "Decode"
          ? `the answer of ${error.request.url} broke off`
          : `${error.request.url} answered ${error.response.status}, not as a host of Caravel does`,
        { cause: error.cause }
      )
    case "HttpApiDecodeError":
      return new Error(`an answer of the host cannot be read: ${error.message.split("\n")[0]}`)
    case "ParseError":
      return new Error(`an answer of the host cannot be read: ${issuesOf(error).join("; ")}`)
    default:
      return error
  }
}

const adviceOf = (error: CallError) => {
  // It says itself when to try again.
  if (error._tag === "TooManyRequests") return undefined
  if (error._tag === "TimedOut") return "see whether it took effect before you try again"
  if (isTemporary(error)) return "the host cannot be reached; try again"
  switch (error._tag) {
    case "RequestError":
      return permanentAdvice(error)
    case "ResponseError":
    case "HttpApiDecodeError":
    case "ParseError":
      return "check that the URL is that of a host, and that it has the same version"
    default:
      return undefined
  }
}

/**
 * The failure of a call, as one of the services.
 *
 * @since 0.1.0
 * @category errors
 */
export const storageError = (operation: string, error: CallError | StorageError): StorageError =>
  error instanceof StorageError ? error : new StorageError({
    operation,
    reason: isTemporary(error) ? "unavailable" : "other",
    cause: causeOf(error),
    advice: adviceOf(error)
  })

/**
 * Fails with the error of a response: a problem, or a response that is none.
 *
 * @since 0.1.0
 * @category errors
 */
export const refused = (
  problem: Problem.KnownError | HttpClientResponse.HttpClientResponse
): Effect.Effect<never, CallError | StorageError> => {
  if (!("_tag" in problem)) {
    return new HttpClientError.ResponseError({ request: problem.request, response: problem, reason: "StatusCode" })
  }
  // No other error can be the answer to a request that only reads.
  return isCallError(problem) || problem instanceof StorageError ? Effect.fail(problem) : Effect.die(problem)
}

/**
 * Fails if there is no answer, or no next part of it, for too long. In a caller's `Effect.all`, `Effect.timeout` would
 * not be interrupted when another effect fails (Effect 3.22).
 *
 * @since 0.1.0
 * @category execution
 */
export const answered =
  (operation: string, { timeout = "70 seconds" }: Options) =>
  <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
    Effect.raceFirst(call, Effect.delay(silence(operation), timeout))

const silence = (operation: string) =>
  Effect.failSync(() =>
    new StorageError({
      operation,
      reason: "unavailable",
      cause: new Error("the host does not answer"),
      advice: "try again"
    })
  )

/**
 * Where the caller cannot be interrupted, a timeout would wait for the call that it interrupts. So another fiber makes the
 * call. The caller waits for it also if the caller is interrupted.
 */
const timeoutable = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.checkInterruptible((isInterruptible) =>
    isInterruptible ? call : Effect.flatMap(Effect.forkDaemon(Effect.interruptible(call)), Fiber.join)
  )

/**
 * Makes a call fail as the services do, and tries it again while the host or its database cannot be reached. A command
 * needs an idempotency key for that.
 *
 * @since 0.1.0
 * @category execution
 */
export const called = (operation: string, options: Options) => {
  const { retryFor = "30 seconds" } = options
  const retried = Waiting.retryWhile(
    Waiting.isTransient,
    // All clients of a host that is away call it again and again, also those that only follow it.
    Schedule.intersect(Backoff.untilReconnected, Schedule.recurUpTo(retryFor))
  )
  return <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) => {
    type Failure = Exclude<E, CallError> | StorageError
    const failing = Effect.mapError(
      call,
      (error): Failure => isCallError(error) ? storageError(operation, error) : error as Exclude<E, CallError>
    )
    return retried(timeoutable(answered(operation, options)(failing)))
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
