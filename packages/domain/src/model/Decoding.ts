/** Decoders of what callers pass, whose errors say first what is wrong and where. */
import { Either, ParseResult, Schema, type SchemaAST } from "effect"
import { storableText, withoutSecrets } from "./Text.js"

/**
 * What is wrong with a value, and where: `path` is a field such as `subdomain`, or empty for the value itself.
 *
 * @since 0.1.0
 * @category errors
 */
export interface Issue {
  readonly path: string
  readonly message: string
}

/**
 * One issue for each invalid field. If a field accepts several types, only the message of the first is returned, since
 * the others only allow it to be empty. If a part of a field has an issue, the field itself has none. Long values are
 * cut, and secrets redacted.
 *
 * @since 0.1.0
 * @category errors
 */
export const readable = (
  issues: ReadonlyArray<{ readonly path: ReadonlyArray<PropertyKey>; readonly message: string }>
): ReadonlyArray<Issue> => {
  const first = new Map([...issues].reverse().map(({ message, path }) => [nameOf(path), message] as const))
  const wholes = new Set(issues.flatMap(({ path }) => path.map((_, depth) => nameOf(path.slice(0, depth)))))
  return [...first].filter(([path]) => !wholes.has(path)).map(([path, message]) => ({
    path,
    message: storableText(withoutSecrets(plain(message)), longestMessage)
  }))
}

/** Effect names an object or an array by its type in TypeScript, or by the side of its schema. */
const plain = (message: string) =>
  message
    .replace(/^Expected (?:Struct \(Encoded side\)|\{.*?\}), actual /s, "Expected an object, actual ")
    .replace(/^Expected ReadonlyArray<.*?>, actual /s, "Expected an array, actual ")

const nameOf = (path: ReadonlyArray<PropertyKey>) => path.map(String).join(".")

/**
 * The issue of each invalid field. Long values are cut, and secrets redacted.
 *
 * @since 0.1.0
 * @category errors
 */
export const issuesIn = (error: ParseResult.ParseError): ReadonlyArray<Issue> => readable(formatted(error))

/**
 * The message for each invalid field, as `subdomain: Expected …`. Long values are cut, and secrets redacted.
 *
 * @since 0.1.0
 * @category errors
 */
export const issuesOf = (error: ParseResult.ParseError): ReadonlyArray<string> =>
  issuesIn(error).map(({ message, path }) => path === "" ? message : `${path}: ${message}`)

/** Effect formats values with their own methods, and JSON may have a `constructor` that is no function. */
const formatted = (error: ParseResult.ParseError) => {
  try {
    return ParseResult.ArrayFormatter.formatErrorSync(error)
  } catch {
    return [{ path: pathOf(error.issue), message: "Expected another value than this one, which cannot be shown" }]
  }
}

/** The path to the first value that has an issue. */
const pathOf = (issue: ParseResult.ParseIssue): ReadonlyArray<PropertyKey> => {
  switch (issue._tag) {
    case "Pointer":
      return [issue.path, pathOf(issue.issue)].flat()
    case "Composite":
      return pathOf([issue.issues].flat()[0]!)
    case "Refinement":
    case "Transformation":
      return pathOf(issue.issue)
    default:
      return []
  }
}

const longestMessage = 400

/**
 * A `ParseError` whose message is its issues. The message of Effect's own error begins with the schema, which may be
 * long.
 */
class InputError extends ParseResult.ParseError {
  override toString() {
    return issuesOf(this).join("; ")
  }
}

/**
 * The same error with a message that begins with the field and with what is wrong.
 *
 * @since 0.1.0
 * @category errors
 */
export const inputError = ({ issue }: ParseResult.ParseError): ParseResult.ParseError => new InputError({ issue })

/**
 * Returns the decoder of a schema for what callers pass.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decodeInput = <A, I>(schema: Schema.Schema<A, I>, options?: SchemaAST.ParseOptions) => {
  const decode = Schema.decodeUnknownEither(schema, options)
  return (input: unknown): Either.Either<A, ParseResult.ParseError> => Either.mapLeft(decode(input), inputError)
}
