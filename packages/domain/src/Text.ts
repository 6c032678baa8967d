import { Schema } from "effect"

/**
 * Annotations that make a schema's failure say what was expected and what was passed instead.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expected = (description: string) => ({
  description,
  message: (issue: { readonly actual: unknown }) => ({
    message: `Expected ${description}, got ${JSON.stringify(issue.actual) ?? String(issue.actual)}`,
    override: true
  })
})

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

/**
 * A string that every database can keep: well-formed Unicode without NUL.
 *
 * @since 0.1.0
 * @category models
 */
export const Text = Schema.String.pipe(Schema.pattern(/^[^\0\p{Cs}]*$/u)).annotations({
  identifier: "Text",
  ...expected("text without NUL characters and lone surrogates")
})

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
