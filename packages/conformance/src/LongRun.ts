/** How often tests repeat: briefly in every run of the suite, and at length with `pnpm long`. */

// A global of every runtime that vitest runs on, which ECMAScript's own types lack.
declare const process: { readonly env: { readonly [variable: string]: string | undefined } }

const numberOf = (variable: string): number | undefined => {
  const text = process.env[variable]
  if (text === undefined || text === "") return undefined
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new Error(`${variable} must be an integer of at least 0, and is ${JSON.stringify(text)}`)
  }
  return number
}

const isLong = (numberOf("CARAVEL_LONG") ?? 0) > 0

/**
 * Returns the count in an environment variable. If it is not set, returns the long count with `CARAVEL_LONG=1`, and
 * otherwise the usual one.
 *
 * @since 0.1.0
 * @category settings
 */
export const count = (variable: string, counts: { readonly usual: number; readonly long: number }): number =>
  numberOf(variable) ?? (isLong ? counts.long : counts.usual)

/**
 * How long a test that repeats something may take, in milliseconds: 12 hours in a long run.
 *
 * @since 0.1.0
 * @category settings
 */
export const timeout = (usual: number): number => isLong ? 43_200_000 : usual

/**
 * The seed of random tests: `CARAVEL_SEED`, or a fixed one by default.
 *
 * @since 0.1.0
 * @category settings
 */
export const seed: number = numberOf("CARAVEL_SEED") ?? 13
