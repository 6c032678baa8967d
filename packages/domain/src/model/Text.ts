import { Schema } from "effect"

/**
 * Annotations that make a schema's error say what was expected and what was passed instead.
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

/** Longer values are truncated in messages: they do not help, and may be megabytes. */
const longestShown = 200

/** Secrets are redacted before a value is truncated: a part of one is not recognized. */
const longestRead = 20 * longestShown

const shown = (actual: unknown) => {
  try {
    if (typeof actual === "string" && actual.length > longestShown) {
      const text = JSON.parse(withoutSecrets(JSON.stringify(actual.slice(0, longestRead)))) as string
      return `${JSON.stringify(text.slice(0, longestShown))}… (${actual.length} characters)`
    }
    return storableText(withoutSecrets((JSON.stringify(actual) ?? String(actual)).slice(0, longestRead)), longestShown)
  } catch {
    return `a value of type ${typeof actual}`
  }
}

/**
 * Like `expected`, but without the value that was passed: it may be long or private.
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

/** Characters that some databases cannot store: NUL and lone surrogates. */
const unstorable = /[\0\p{Cs}]/gu

/** Searches for invalid characters: a pattern that matches all valid ones overflows the stack on long texts. */
const isStorable = (text: string) => text.search(unstorable) === -1

/**
 * A string that every database can store: well-formed Unicode without NUL.
 *
 * @since 0.1.0
 * @category models
 */
export const Text = Schema.String.pipe(Schema.filter(isStorable)).annotations({
  identifier: "Text",
  ...expected("text without NUL characters and lone surrogates")
})

/**
 * Converts any text, such as an error's message, to a text that every database can store. Each NUL and each lone
 * surrogate becomes U+FFFD. A text longer than `maxLength` UTF-16 units is cut to that length and ends in "…".
 *
 * @since 0.1.0
 * @category constructors
 */
export const storableText = (text: string, maxLength = Infinity): string => {
  if (text.length <= maxLength) return text.replace(unstorable, "\ufffd")
  // Never cut between the two halves of a surrogate pair.
  const end = maxLength - 1 - (isHighSurrogate(text.charCodeAt(maxLength - 2)) ? 1 : 0)
  return `${text.slice(0, Math.max(0, end)).replace(unstorable, "\ufffd")}…`
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff

/** The maximum length of a diagnostic, in UTF-16 units. */
const longestDiagnostic = 10_000

/**
 * The text of an error, as callers pass it. Any string is accepted; it is made storable and cut to 10,000 characters.
 * Reporting an error must not fail because of the error's text.
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
 * The number of accepted commands on a resource: 1 after its creation, plus 1 for each further command.
 *
 * @since 0.1.0
 * @category models
 */
export const Version = Schema.Int.pipe(Schema.positive()).annotations({
  identifier: "Version",
  ...expected("a version: an integer of at least 1")
})

/**
 * The version that a caller expects a resource to have; 0 if the resource must not exist.
 *
 * @since 0.1.0
 * @category models
 */
export const ExpectedVersion = Schema.NonNegativeInt.annotations({
  identifier: "ExpectedVersion",
  ...expected("a version: an integer of at least 0")
})

// The text may be JSON: no match contains half of an escape such as \" or the quotation mark that ends a string. A URL may
// be percent-encoded, even twice, as in the path of a request.
const walletUrl =
  /nostr(?:\+|%(?:25)*2b)walletconnect(?::|%(?:25)*3a)(?:\/|%(?:25)*2f)*(?:[^\s"'<>…;/\\]|\\[^\s"'])(?:[^\s"'<>\\]|\\[^\s"'])*/gi
const privateKey = /nsec1[a-z0-9]+/gi
const scheme = /postgres(?:ql)?(?::|%(?:25)*3a)(?:\/|%(?:25)*2f){2}/.source
// What follows a host is a port, and no password. A password never contains another URL, so that each text is read once.
const password = new RegExp(
  String.raw`(${scheme}(?:(?!%(?:25)*3a)[^\s:@/"\\])*)(:|%(?:25)*3a)(?!\d{1,5}(?:[/?#]|%(?:25)*2f))` +
    String.raw`(?:(?!${scheme})(?:[^\s"\\]|\\\S|"(?![,:}\]])))+(@|%(?:25)*40)`,
  "gi"
)

/**
 * Redacts wallet URLs, private keys and the passwords of PostgreSQL URLs in a text, also percent-encoded ones. JSON stays
 * JSON.
 *
 * @since 0.1.0
 * @category secrets
 */
export const withoutSecrets = (text: string): string =>
  text.replace(walletUrl, "<redacted>").replace(privateKey, "<redacted>").replace(password, "$1$2<redacted>$3")
