/**
 * Metadata, idempotency key and expected version of a command, on every subcommand and on every line of `caravel run`.
 */
import { type CallerMetadata, Command } from "@caravel/domain"
import * as Options from "@effect/cli/Options"
import { type Effect, type Option, type ParseResult, Record as Rec } from "effect"
import * as Values from "./Values.js"

/**
 * The keys of a line besides its command, unvalidated: `Command` validates them.
 *
 * @since 0.1.0
 * @category models
 */
export interface SentWith {
  readonly metadata?: unknown
  readonly idempotencyKey?: unknown
  readonly expectedVersion?: unknown
}

/**
 * The keys of a line that do not belong to its command.
 *
 * @since 0.1.0
 * @category models
 */
export const lineKeys: ReadonlyArray<keyof SentWith> = ["metadata", "idempotencyKey", "expectedVersion"]

const text = (name: string, description: string) =>
  Options.text(name).pipe(Options.optional, Options.withDescription(description))

const given = <A extends Rec.ReadonlyRecord<string, Option.Option<unknown>>>(options: A) => Rec.getSomes(options)

/**
 * The options for metadata.
 *
 * @since 0.1.0
 * @category options
 */
export const metadata = Options.all({
  actor: text("actor", "The person or program that sends the command; stored with the event."),
  correlationId: text("correlation-id", "The request or workflow that the command belongs to; stored with the event."),
  causationId: text("causation-id", "The event or command that caused it; stored with the event.")
}).pipe(Options.map(given))

/**
 * The options for metadata, idempotency key and expected version.
 *
 * @since 0.1.0
 * @category options
 */
export const options: Options.Options<SentWith> = Options.all({
  metadata,
  once: Options.all({
    idempotencyKey: text(
      "idempotency-key",
      "Makes the command safe to repeat: sent again with the same key, it returns the first answer. " +
        "Use a new random key for each command."
    ),
    expectedVersion: Values.option("expected-version", Values.integer(0)).pipe(
      Options.withPseudoName("version"),
      Options.optional,
      Options.withDescription(
        "Refuses the command unless the tenant or relay is at this version; 0 means that it does not exist yet."
      )
    )
  }).pipe(Options.map(given))
}).pipe(Options.map(({ metadata, once }) => ({ metadata, ...once })))

/**
 * The names of these options.
 *
 * @since 0.1.0
 * @category options
 */
export const names: ReadonlySet<string> = new Set([
  "--actor",
  "--correlation-id",
  "--causation-id",
  "--idempotency-key",
  "--expected-version"
])

/**
 * Sends the commands of an effect with the metadata, the key and the version that are present.
 *
 * @since 0.1.0
 * @category execution
 */
export const sentWith =
  ({ expectedVersion, idempotencyKey, metadata }: SentWith) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | ParseResult.ParseError, R> => {
    let sent: Effect.Effect<A, E | ParseResult.ParseError, R> = effect
    if (metadata !== undefined) sent = Command.withMetadata(metadata as CallerMetadata)(sent)
    if (idempotencyKey !== undefined) sent = Command.withIdempotencyKey(idempotencyKey as string)(sent)
    if (expectedVersion !== undefined) sent = Command.expecting(expectedVersion as number)(sent)
    return sent
  }
