/** Suggestions for mistyped words. */
import * as AutoCorrect from "@effect/cli/AutoCorrect"
import * as CliConfig from "@effect/cli/CliConfig"

const distance = (first: string, second: string) =>
  AutoCorrect.levensteinDistance(first, second, CliConfig.defaultConfig)

/** The known word that is most similar to a word, ignoring case, if any is similar enough. */
const closest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  // A comparison takes time proportional to the product of both lengths.
  if (word.length > 64) return undefined
  const [best] = known.map((candidate) => ({ candidate, away: distance(word, candidate) })).sort((a, b) =>
    a.away - b.away
  )
  return best !== undefined && best.away <= Math.max(1, Math.round(best.candidate.length / 3))
    ? best.candidate
    : undefined
}

/**
 * The question that follows an unknown word; empty if there is no suggestion.
 *
 * @since 0.1.0
 * @category text
 */
export const didYouMean = (word: string, known: ReadonlyArray<string>): string => {
  const suggestion = closest(word, known)
  return suggestion === undefined ? "" : `; did you mean ${suggestion}?`
}
