/** Values from the command line. They are validated when they are read, and errors name the option or argument. */
import { Instant, issuesOf, Position, Pubkey, RelayId } from "@caravel/domain"
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import { Either, Schema } from "effect"
import * as nip19 from "nostr-tools/nip19"

/**
 * Parses a value, or returns an error.
 *
 * @since 0.1.0
 * @category models
 */
export type Read<A> = (text: string) => Either.Either<A, string>

/**
 * An option whose value is parsed by `read`.
 *
 * @since 0.1.0
 * @category options
 */
export const option = <A>(name: string, read: Read<A>): Options.Options<A> =>
  Options.mapEffect(Options.text(name), (text) => invalid(`--${name}`, read(text)))

/**
 * A repeatable option whose values are parsed by `read`.
 *
 * @since 0.1.0
 * @category options
 */
export const options = <A>(name: string, read: Read<A>, pseudoName: string): Options.Options<ReadonlyArray<A>> =>
  Options.text(name).pipe(
    Options.withPseudoName(pseudoName),
    // The library parses repeated values twice, which only works for texts.
    Options.repeated,
    Options.mapEffect((texts) => invalid(`--${name}`, Either.all(texts.map(read))))
  )

const invalid = <A>(name: string, value: Either.Either<A, string>) =>
  Either.mapLeft(value, (why) => ValidationError.invalidValue(HelpDoc.p(`${name}: ${why}`)))

/**
 * An argument that is parsed by `read`.
 *
 * @since 0.1.0
 * @category arguments
 */
export const argument = <A>(name: string, read: Read<A>): Args.Args<A> =>
  Args.mapEffect(Args.text({ name }), (text) => Either.mapLeft(read(text), (why) => HelpDoc.p(`${name}: ${why}`)))

const checked = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeEither(schema)
  return (value: I): Either.Either<I, string> =>
    Either.mapBoth(decode(value), { onLeft: (error) => issuesOf(error).join("; "), onRight: () => value })
}

const got = (expected: string, text: string) =>
  `Expected ${expected}, got ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`

/**
 * One of several words.
 *
 * @since 0.1.0
 * @category values
 */
export const oneOf = <const Words extends ReadonlyArray<string>>(...words: Words): Read<Words[number]> => (text) =>
  words.includes(text) ? Either.right(text) : Either.left(got(words.join(" or "), text))

/**
 * An integer that is at least `least`.
 *
 * @since 0.1.0
 * @category values
 */
export const integer = (minimum: number): Read<number> => (text) => {
  const value = Number(text)
  return /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= minimum
    ? Either.right(value)
    : Either.left(got(`an integer of at least ${minimum}`, text))
}

const asPubkey = checked(Pubkey)

/**
 * A pubkey from hex or from `npub1…` (NIP-19).
 *
 * @since 0.1.0
 * @category values
 */
export const pubkey: Read<string> = (text) => {
  const bech32 = text.replace(/^nostr:/, "")
  if (/^nsec1/i.test(bech32)) {
    return Either.left(
      "This is a private key (nsec1…), not shown here. Keep it secret, and pass the npub1… or hex public key"
    )
  }
  if (!/^npub1/i.test(bech32)) return asPubkey(text)
  return Either.try({
    try: () => nip19.decode(bech32),
    catch: () => `${bech32} is not a valid npub; check that it is complete`
  }).pipe(
    Either.filterOrLeft(
      (decoded) => decoded.type === "npub",
      () => `${bech32} is not a valid npub; check that it is complete`
    ),
    Either.map(({ data }) => data)
  )
}

/**
 * A relay's id.
 *
 * @since 0.1.0
 * @category values
 */
export const relayId: Read<string> = checked(RelayId)

const instants = "an instant with its time zone such as 2026-11-01T00:00Z, or \"2026-11-01 00:00\" or 2026-11-01 (UTC)"

const asInstant = checked(Instant) as Read<string>

/**
 * An instant as ISO 8601 text. As in the printed tables, it may have a space in place of the T, and is in UTC without a
 * zone.
 *
 * @since 0.1.0
 * @category values
 */
export const instant: Read<string> = (text) => {
  const [, date, time, zone = "Z"] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? []
  return Either.mapLeft(asInstant(date === undefined ? text : `${date}T${time}${zone}`), () => got(instants, text))
}

const asPosition = checked(Position)

/**
 * A moment, and the text that named it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly text: string
  readonly at: number | string
}

/**
 * A position, an instant, or `now`, which is the head.
 *
 * @since 0.1.0
 * @category values
 */
export const moment: Read<Moment> = (text) => Either.map(momentOf(text), (at) => ({ text, at }))

const momentOf: Read<number | string> = (text) => {
  if (text === "now") return Either.right(text)
  if (/^\d+$/.test(text)) return asPosition(Number(text))
  return Either.mapLeft(instant(text), () => got(`a position, ${instants}, or now`, text))
}
