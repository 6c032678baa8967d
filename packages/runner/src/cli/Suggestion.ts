/** What somebody may have meant by a word that is not known. */
import * as AutoCorrect from "@effect/cli/AutoCorrect"
import * as CliConfig from "@effect/cli/CliConfig"

const distance = (first: string, second: string) =>
  AutoCorrect.levensteinDistance(first, second, CliConfig.defaultConfig)

/** The known word that a word is most like, whatever its case, if it is like one at all. */
const closest = (word: string, known: ReadonlyArray<string>): string | undefined => {
  // Comparing takes time by the product of both lengths.
  if (word.length > 64) return undefined
  const [best] = known.map((candidate) => ({ candidate, away: distance(word, candidate) })).sort((a, b) =>
    a.away - b.away
  )
  return best !== undefined && best.away <= Math.max(1, Math.round(best.candidate.length / 3))
    ? best.candidate
    : undefined
}

/**
 * The question that follows an unknown word, if there is anything to ask.
 *
 * @since 0.1.0
 * @category text
 */
export const didYouMean = (word: string, known: ReadonlyArray<string>): string => {
  const suggestion = closest(word, known)
  return suggestion === undefined ? "" : `; did you mean ${suggestion}?`
}
