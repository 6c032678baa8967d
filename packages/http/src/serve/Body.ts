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

/** Whether a body was read: what was read as text is kept by the platform, which reads nothing else twice. */
const isRead = ({ source }: HttpServerRequest.HttpServerRequest) => {
  const { bodyUsed, readableDidRead } = source as { readonly bodyUsed?: boolean; readonly readableDidRead?: boolean }
  return readableDidRead ?? bodyUsed ?? false
}

/** As text a body takes 90 µs more. It is kept as text, for others that read the request. */
const whole = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.map(request.arrayBuffer, (bytes) => {
    const text = decoder.decode(bytes)
    Object.defineProperty(request, "text", { value: Effect.succeed(text) })
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
    const limit = Option.getOrElse(Option.map(yield* HttpIncomingMessage.MaxBodySize, Number), () => Infinity)
    const declared = Number(request.headers["content-length"])
    if (declared > limit) return yield* new BodyTooLarge({ limit })
    // Nothing tells whether an empty body was read.
    const reading = declared > 0 && declared <= short && !isRead(request) ? whole(request) : request.text
    return yield* Effect.mapError(reading, () => new BodyTooLarge({ limit }))
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
