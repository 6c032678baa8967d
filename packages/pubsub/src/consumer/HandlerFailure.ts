/** Describes failures of handlers as text that can be stored, logged and shown. */
import type { Activity } from "@caravel/domain"
import { storableText, withoutSecrets } from "@caravel/domain/adapter"
import { Cause, Chunk, Duration, Effect, Inspectable, type LogLevel, Option, Redacted } from "effect"

/** The maximum length of a description, in UTF-16 code units. */
const maxLength = 2000

/**
 * The maximum length of a text that is read. It is longer than a description, so that secrets are recognised as a
 * whole.
 */
const maxText = 4 * maxLength

const maxDepth = 4
const maxEntries = 32

/** The values of fields with these names are not shown. */
const secretName = /passw|secret|token|credential|authorization|cookie|api.?key|private.?key|nwc.?url/i

const redacted = "<redacted>"

/** Describes a cause by tag, message and fields. Never throws, whatever the cause. */
export const describeCause = (cause: Cause.Cause<unknown>): string => {
  const interruption = "Interrupted: an effect that the handler waited for was interrupted"
  return attempt(() => {
    const failure = Option.orElse(Cause.failureOption(cause), () => Chunk.head(Cause.defects(cause)))
    return Option.match(failure, { onNone: () => interruption, onSome: describe })
  }, "a cause that cannot be read")
}

/** Describes a value by tag, message and fields. Never throws. */
export const describe = (value: unknown): string => {
  const text = attempt(
    () => typeof value === "string" ? value : render(value, 0, new Set()),
    "a value that cannot be read"
  )
  return storableText(withoutSecrets(withoutQueries(text.slice(0, maxText))), maxLength)
}

/** The users and queries of a web page's or service's URL often are secrets. */
const withoutQueries = (text: string) =>
  text.replace(/(\bhttps?:\/\/)(?:[^\s/?#"@]*@)?([^\s?#"')]*)(?:[?#][^\s"')]*)?/gi, "$1$2")

/** Logs the failure of a handler with its activity and attempt, and the consequence. */
export const logFailure = (
  level: LogLevel.LogLevel,
  consumer: string,
  { activityType, position, resourceId, resourceType }: Activity,
  attempt: number,
  error: string,
  consequence: string
): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWithLevel(
      level,
      `Consumer ${consumer} failed at position ${position} (${activityType} of ${resourceType} ${resourceId}), ` +
        `attempt ${attempt}, and ${consequence}: ${error}`
    ),
    { consumer, position, activityType, resourceId, attempt }
  )

/** Reads a value from foreign code, which may throw. */
const attempt = <A, B>(get: () => A, otherwise: B): A | B => {
  try {
    return get()
  } catch {
    return otherwise
  }
}

/** Renders values as JSON, and errors as `Tag: message {"field":1} (caused by …)`. */
const render = (value: unknown, depth: number, within: Set<unknown>): string => {
  if (typeof value === "string") return depth === 0 ? value.slice(0, maxText) : quote(value)
  if (typeof value === "function") return "a function"
  if (typeof value !== "object" || value === null) return String(value)
  if (within.has(value)) return "<circular>"
  if (depth > maxDepth) return "…"
  within.add(value)
  const text = attempt(() => renderObject(value, depth, within), "an object that cannot be read")
  within.delete(value)
  return text
}

const renderObject = (value: object, depth: number, within: Set<unknown>): string => {
  if (Redacted.isRedacted(value)) return redacted
  if (Duration.isDuration(value)) return quote(Duration.format(value))
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `${value.byteLength} bytes`
  if (Array.isArray(value)) return renderList(value, depth, within)
  if (value instanceof Map || value instanceof Set) return renderList([...firstOf<unknown>(value)], depth, within)
  const plain = Inspectable.isRedactable(value) ? Inspectable.redact(value) : jsonOf(value)
  const fields = typeof plain === "object" && plain !== null ? renderFields(value, plain, depth, within) : undefined
  if (value instanceof Error) return renderError(value, fields ?? "", depth, within)
  const tag = tagOf(value)
  if (plain !== value && tag === undefined) return render(plain, depth + 1, within)
  return tag === undefined ? fields ?? "{}" : labelled(tag, [fields ?? ""])
}

const renderError = (error: Error, fields: string, depth: number, within: Set<unknown>): string => {
  const cause = attempt(() => error.cause, undefined)
  const errors = error instanceof AggregateError ? attempt(() => error.errors, undefined) : undefined
  const message = attempt(() => textOf(error.message), undefined) ?? ""
  return labelled(tagOf(error) ?? attempt(() => textOf(error.name), undefined) ?? "Error", [
    // The default message of a Schema.TaggedError consists of its fields.
    isSame(message, fields) ? "" : message,
    fields,
    errors === undefined ? "" : render(errors, depth + 1, within),
    cause === undefined ? "" : `(caused by ${render(cause, depth + 1, within)})`
  ])
}

const isSame = (one: string, other: string) => one.replace(/\s/g, "") === other.replace(/\s/g, "")

const labelled = (tag: string, parts: ReadonlyArray<string>) => {
  const rest = parts.filter((part) => part !== "").join(" ")
  return rest === "" ? tag : `${tag}: ${rest}`
}

/** What a value's own `toJSON` returns; the value itself if it has none. */
const jsonOf = (value: object): unknown =>
  attempt(() => {
    const { toJSON } = value as { readonly toJSON?: unknown }
    return typeof toJSON === "function" ? toJSON.call(value) as unknown : value
  }, value)

const tagOf = (value: object) => attempt(() => textOf((value as { readonly _tag?: unknown })._tag), undefined)

const textOf = (value: unknown) => typeof value === "string" && value !== "" ? value.slice(0, maxText) : undefined

/** Fields of errors that are rendered elsewhere or not at all. */
const errorFields = new Set(["message", "stack", "cause", "_id"])

/**
 * What is shown of an HTTP request or response, of whatever library: its headers, query and body may hold anything,
 * such as the key of another service.
 */
const httpFields = new Set(["method", "url", "status", "statusCode", "statusText", "code", "reason", "name"])

const isHttp = (plain: object) => attempt(() => "headers" in plain, false)

/** Renders the fields of `plain`, the JSON form of a value. Returns `undefined` if there are none besides its tag. */
const renderFields = (value: object, plain: object, depth: number, within: Set<unknown>): string | undefined => {
  const tag = tagOf(value)
  const ofHttp = isHttp(plain)
  const isOmitted = (key: string) =>
    (ofHttp && !httpFields.has(key)) ||
    attempt(() => (plain as { readonly [key: string]: unknown })[key], null) === undefined ||
    (key === "_tag" && tag !== undefined) ||
    (value instanceof Error && (errorFields.has(key) || (key === "name" && attempt(() => value.name === tag, true))))
  const fields = Object.keys(plain).filter((key) => !isOmitted(key)).slice(0, maxEntries + 1).map((key) => {
    const read = () => render((plain as { readonly [key: string]: unknown })[key], depth + 1, within)
    return `${quote(key)}:${secretName.test(key) ? redacted : attempt(read, "unreadable")}`
  })
  return fields.length === 0 ? undefined : `{${joined(fields)}}`
}

const renderList = (items: ReadonlyArray<unknown>, depth: number, within: Set<unknown>) =>
  `[${joined(items.slice(0, maxEntries + 1).map((item) => render(item, depth + 1, within)))}]`

const joined = (items: ReadonlyArray<string>) =>
  (items.length > maxEntries ? [...items.slice(0, maxEntries), "…"] : items).join(",").slice(0, maxText)

const quote = (value: string) => JSON.stringify(value.slice(0, maxText))

function* firstOf<A>(values: Iterable<A>): Generator<A> {
  let count = 0
  for (const value of values) {
    if (count++ > maxEntries) return
    yield value
  }
}
