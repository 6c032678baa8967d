/** The JSON body of a request. */
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Effect, Option } from "effect"
import { BodyTooLarge, InvalidRequest, UnsupportedMediaType } from "../api/RequestError.js"

const isJson = (contentType: string) => /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType.trim())

/** A message of `JSON.parse` quotes the input, which may contain a secret, so only the position is reported. */
const malformed = (error: unknown) => {
  const at = /at position (\d+)/.exec(String(error))?.[1]
  const place = at === undefined ? "" : ` at character ${Number(at) + 1}`
  return new InvalidRequest({ issues: [{ path: "", message: `The body is not valid JSON${place}` }] })
}

/** Up to this length, in bytes, a body is read whole. */
const short = 16 * 1024

// `JSON.parse` refuses a byte order mark, so it is kept.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Bodies that were read whole: the platform keeps only what it reads as text. */
const known = new WeakMap<HttpServerRequest.HttpServerRequest, string>()

/** As text a body takes 90 µs more, but joins its parts only once. */
const whole = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.map(request.arrayBuffer, (bytes) => {
    const text = decoder.decode(bytes)
    known.set(request, text)
    return text
  })

/**
 * Reads a body as text. It is kept, so that it can be read again. One that is declared too long is refused before it is
 * read. If a longer one arrives without a declared length, the platform closes the connection.
 *
 * @since 0.1.0
 * @category execution
 */
export const text = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string, BodyTooLarge> =>
  Effect.gen(function*() {
    const read = known.get(request)
    if (read !== undefined) return read
    const limit = Option.getOrElse(Option.map(yield* HttpIncomingMessage.MaxBodySize, Number), () => Infinity)
    const declared = Number(request.headers["content-length"])
    if (declared > limit) return yield* new BodyTooLarge({ limit })
    return yield* Effect.mapError(declared <= short ? whole(request) : request.text, () => new BodyTooLarge({ limit }))
  })

/**
 * Reads a body as JSON.
 *
 * @since 0.1.0
 * @category execution
 */
export const json = (
  request: HttpServerRequest.HttpServerRequest
): Effect.Effect<unknown, BodyTooLarge | InvalidRequest | UnsupportedMediaType> =>
  Effect.gen(function*() {
    if (!isJson(request.headers["content-type"] ?? "")) return yield* new UnsupportedMediaType()
    const body = yield* text(request)
    return yield* Effect.try({ try: (): unknown => JSON.parse(body), catch: malformed })
  })
