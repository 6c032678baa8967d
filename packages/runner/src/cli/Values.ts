/** Values from the command line. They are validated when they are read, and errors name the option or argument. */
import * as Domain from "@caravel/domain"
import { issuesOf, PlanId, Position, Pubkey, RelayId } from "@caravel/domain"
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import { DateTime, Effect, Either, Schema, String as Str } from "effect"
import * as nip19 from "nostr-tools/nip19"
import { shortened } from "../terminal/Layout.js"
import { Output } from "../terminal/Output.js"

/**
 * Parses a value, or returns an error.
 *
 * @since 0.1.0
 * @category models
 */
export type Read<A> = (text: string) => Either.Either<A, string>

/**
 * The name of a field's option, without its dashes: `nwcUrl` is `nwc-url`.
 *
 * @since 0.1.0
 * @category generation
 */
export const kebab = (name: string): string => Str.snakeToKebab(Str.camelToSnake(Str.uncapitalize(name)))

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

const got = (expected: string, text: string) => `Expected ${expected}, got ${JSON.stringify(shortened(text, 60))}`

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

/**
 * A plan's slug.
 *
 * @since 0.1.0
 * @category values
 */
export const planId: Read<string> = checked(PlanId)

/**
 * What a text such as `yesterday` depends on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Here {
  readonly now: DateTime.Utc
  readonly zone: DateTime.TimeZone
}

/**
 * The clock, and the time zone of the output.
 *
 * @since 0.1.0
 * @category accessors
 */
export const here: Effect.Effect<Here, never, Output> = Effect.zipWith(
  DateTime.now,
  Output,
  (now, { style: { zone } }) => ({ now, zone })
)

/**
 * An instant that can depend on the clock and the time zone.
 *
 * @since 0.1.0
 * @category models
 */
export type Instant = (here: Here) => DateTime.Utc

const instants =
  "an instant with its time zone such as 2026-11-01T00:00Z, \"2026-11-01 00:00\", 2026-11-01, 1h, 7d, today, yesterday or now"

const asInstant = checked(Domain.Instant) as Read<string>

/** The units of a span, in milliseconds. */
const units: Record<string, number> = { s: 1_000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

const startOfDay = (daysAgo: number): Instant => ({ now, zone }) =>
  // In this order, as the clock may change at the beginning of a day.
  DateTime.setZone(now, zone).pipe(DateTime.subtract({ days: daysAgo }), DateTime.startOf("day"), DateTime.toUtc)

/**
 * An instant as ISO 8601 text, how long ago it was (`7d`, `1h`), `now`, or `today` or `yesterday`, which are the
 * beginnings of these days. As in the printed tables, it may have a space in place of the T; without a zone, it is in that of the
 * tables.
 *
 * @since 0.1.0
 * @category values
 */
export const instant: Read<Instant> = (text) => {
  const [span, count, unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(s|min|m|h|d|w)$/.exec(text) ?? []
  if (span !== undefined) {
    return Either.right(({ now }) => DateTime.subtract(now, { millis: Number(count) * (units[unit] ?? 0) }))
  }
  if (text === "now") return Either.right(({ now }) => now)
  if (text === "today" || text === "yesterday") return Either.right(startOfDay(text === "today" ? 0 : 1))
  const [local, date, time = "00:00", zone] =
    /^(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text) ?? []
  return Either.mapBoth(asInstant(local === undefined ? text : `${date}T${time}${zone ?? "Z"}`), {
    onLeft: () => got(instants, text),
    onRight: (iso): Instant =>
      local === undefined || zone !== undefined
        ? () => DateTime.unsafeMake(iso)
        : ({ zone }) => DateTime.toUtc(DateTime.unsafeMakeZoned(iso, { timeZone: zone, adjustForTimeZone: true }))
  })
}

const asPosition = checked(Position)

/**
 * A moment, and the text that named it: a position, an instant, or `now`, which is the head.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly text: string
  readonly at: number | "now" | Instant
}

/**
 * A position, an instant, or `now`, which is the head.
 *
 * @since 0.1.0
 * @category values
 */
export const moment: Read<Moment> = (text) => Either.map(momentOf(text), (at) => ({ text, at }))

const momentOf: Read<Moment["at"]> = (text) => {
  if (text === "now") return Either.right(text)
  if (/^\d+$/.test(text)) return asPosition(Number(text))
  return Either.mapLeft(instant(text), () => got(`a position, ${instants}`, text))
}

/**
 * A time zone, such as `Europe/Berlin` or `+01:00`.
 *
 * @since 0.1.0
 * @category values
 */
export const zone: Read<DateTime.TimeZone> = (text) =>
  Either.fromOption(
    DateTime.zoneFromString(text),
    () => got("a time zone such as Europe/Berlin, UTC or +01:00", text)
  )

/**
 * A field to sort by, and whether the greatest value comes first.
 *
 * @since 0.1.0
 * @category models
 */
export interface Order {
  readonly field: string
  readonly isDescending: boolean
}

/**
 * One of the fields, in camelCase as in JSON or in kebab-case as in options; with `-` before it, in descending order.
 *
 * @since 0.1.0
 * @category values
 */
export const order = (fields: ReadonlyArray<string>): Read<Order> => (text) => {
  const name = text.replace(/^-/, "")
  const field = fields.find((field) => field === name || kebab(field) === name)
  return field === undefined
    ? Either.left(got(`one of ${fields.join(", ")}, with - before it in descending order`, text))
    : Either.right({ field, isDescending: name !== text })
}
