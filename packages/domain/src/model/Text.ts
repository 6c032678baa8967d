import { ParseResult, Schema } from "effect"

/**
 * Annotations that make a schema's failure say what was expected and what was passed instead.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expected = (description: string) => ({
  description,
  message: (issue: { readonly actual: unknown }) => ({
    message: `Expected ${description}, got ${shown(issue.actual)}`,
    override: true
  })
})

/** What is longer is not shown whole: it is no help, and may be megabytes. */
const longestShown = 200

const shown = (actual: unknown) => {
  if (typeof actual === "string" && actual.length > longestShown) {
    return `${JSON.stringify(actual.slice(0, longestShown))}… (${actual.length} characters)`
  }
  try {
    return storableText(JSON.stringify(actual) ?? String(actual), longestShown)
  } catch {
    return `a value of type ${typeof actual}`
  }
}

/**
 * The same, without repeating what was passed: it may be long, or nobody's business.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expectedUnseen = (description: string) => ({
  description,
  message: ({ actual }: { readonly actual: unknown }) => ({
    message: `Expected ${description}, got ${
      typeof actual === "string" ? `${actual.length} characters` : `a value of type ${typeof actual}`
    }`,
    override: true
  })
})

/** What a database may be unable to keep: NUL, and surrogates that are no pair. */
const unstorable = /[\0\p{Cs}]/gu

/** By a search for what it must not hold: a pattern for all that it may hold overflows the stack on long texts. */
const isStorable = (text: string) => text.search(unstorable) === -1

/**
 * A string that every database can keep: well-formed Unicode without NUL.
 *
 * @since 0.1.0
 * @category models
 */
export const Text = Schema.String.pipe(Schema.filter(isStorable)).annotations({
  identifier: "Text",
  ...expected("text without NUL characters and lone surrogates")
})

/**
 * A text that every database can keep, from one that may be anything: what an error said, for instance. Each NUL and each
 * lone surrogate becomes U+FFFD, and what is longer than `maxLength` UTF-16 units is cut there and ends in "…".
 *
 * @since 0.1.0
 * @category constructors
 */
export const storableText = (text: string, maxLength = Infinity): string => {
  if (text.length <= maxLength) return text.replace(unstorable, "\ufffd")
  // Not through the middle of a character.
  const end = maxLength - 1 - (isHighSurrogate(text.charCodeAt(maxLength - 2)) ? 1 : 0)
  return `${text.slice(0, Math.max(0, end)).replace(unstorable, "\ufffd")}…`
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff

/** How long a diagnostic may be, in UTF-16 units. */
const longestDiagnostic = 10_000

/**
 * What an error said, as callers pass it: any text, of which what is kept is storable, and 10,000 characters at most. A
 * program that reports an error must not fail for what that error says.
 *
 * @since 0.1.0
 * @category models
 */
export const Diagnostic = Schema.transform(Schema.String, Text, {
  strict: true,
  decode: (text) => storableText(text, longestDiagnostic),
  encode: (text) => text
}).annotations({ identifier: "Diagnostic", ...expected("text") })

/**
 * `Text` of at least one character.
 *
 * @since 0.1.0
 * @category models
 */
export const NonEmptyText = Text.pipe(Schema.minLength(1)).annotations({
  identifier: "NonEmptyText",
  ...expected("text of at least one character")
})

/**
 * The number of accepted commands on a resource: 1 at its creation, +1 for each further one.
 *
 * @since 0.1.0
 * @category models
 */
export const Version = Schema.Int.pipe(Schema.positive()).annotations({
  identifier: "Version",
  ...expected("a version: an integer of at least 1")
})

/**
 * The version that a caller expects a resource to be at; 0 that it does not exist.
 *
 * @since 0.1.0
 * @category models
 */
export const ExpectedVersion = Schema.NonNegativeInt.annotations({
  identifier: "ExpectedVersion",
  ...expected("a version: an integer of at least 0")
})

/**
 * A text without wallet URLs and private keys, wherever they came from.
 *
 * @since 0.1.0
 * @category secrets
 */
export const withoutSecrets = (text: string): string =>
  text
    .replace(/nostr(?:\+|%2b)walletconnect:\/*[^\s"'<>…;/][^\s"'<>]*/gi, "<redacted>")
    .replace(/nsec1[a-z0-9]+/gi, "<redacted>")
    .replace(/(postgres(?:ql)?:\/\/[^\s:@/]*):[^\s@/]+@/gi, "$1:<redacted>@")

/**
 * What is wrong at each place, as `subdomain: Expected …`: of a field's alternatives, the first is what it is for, the
 * others that it may be empty.
 *
 * @since 0.1.0
 * @category errors
 */
export const issuesOf = (error: ParseResult.ParseError): ReadonlyArray<string> => {
  const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
  const first = new Map(issues.reverse().map(({ message, path }) => [path.join("."), message] as const))
  return [...first].map(([path, message]) => path === "" ? message : `${path}: ${message}`)
}
