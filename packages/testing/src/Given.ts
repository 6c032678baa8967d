/** Given events, when a command is decided, then an event or an error results. */
import {
  type CommandInput,
  type CommandOf,
  decide,
  decodeCommand,
  type Event,
  type EventOf,
  events as schemas,
  evolve,
  type Metadata,
  type Refusal,
  type RefusalOf,
  RelayAlreadyExists,
  RelayNotFound,
  type State,
  stateOf,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "@caravel/domain"
import type { commandTable } from "@caravel/domain/adapter"
import { DateTime, Either, ParseResult, Schema } from "effect"
import * as assert from "node:assert"
import type { EventSpecification } from "./EventSpecification.js"
import { journalOf } from "./GivenJournal.js"
import { contextAfter, fill } from "./internal/fill.js"

const RefusalSchema = Schema.Union(
  RelayAlreadyExists,
  RelayNotFound,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
)

/** The tag of the event that a command appends. */
type EventTagOf<Command extends CommandInput> = typeof commandTable[Command["_tag"]]["event"]

type PlainError = typeof RefusalSchema.Encoded | { readonly _tag: "ParseError"; readonly message?: string }

type RefusalTagOf<Command extends CommandInput> = RefusalOf<CommandOf<Command["_tag"]>>["_tag"]

/**
 * The expected result of a command: its event, or one of its errors in plain values. Only the message of a `ParseError`
 * may be omitted.
 *
 * @since 0.1.0
 * @category models
 */
export type Expected<Command extends CommandInput = CommandInput> =
  | EventSpecification<EventTagOf<Command>>
  | Extract<PlainError, { readonly _tag: RefusalTagOf<Command> | "ParseError" }>

/**
 * What a decision depends on besides the events and the command. By default, no version is expected, the command is
 * decided a second after the last event, and there is no metadata.
 *
 * @since 0.1.0
 * @category models
 */
export interface WhenOptions {
  readonly expected?: number
  readonly now?: DateTime.DateTime.Input
  readonly metadata?: Metadata
}

/**
 * The result of a command, and its comparison.
 *
 * An object with a method `then` looks like a promise: never `await` one, or return one from an `async` function. If
 * you do, `then` throws a `TypeError` that says so.
 *
 * @since 0.1.0
 * @category models
 */
export interface When<Command extends CommandInput> {
  /** The event, or the error that refused the command. */
  readonly result: Either.Either<
    EventOf<EventTagOf<Command>>,
    RefusalOf<CommandOf<Command["_tag"]>> | ParseResult.ParseError
  >
  /**
   * Compares the result with an expectation, of which omitted fields are filled in as for a given event. All fields
   * must be equal. The event's id, instant and metadata are those of the decision unless you name them. A wallet URL is
   * only expected to be set, as an event does not contain it. Throws an `AssertionError` with the differences.
   */
  readonly then: (expected: Expected<Command>) => void
}

/**
 * Events from which decisions start.
 *
 * @since 0.1.0
 * @category models
 */
export interface Given {
  /** The state after the events. */
  readonly state: State
  /** Decides a command, in the plain values that `Command.submit` takes. */
  readonly when: <const Command extends CommandInput>(command: Command, options?: WhenOptions) => When<Command>
}

/**
 * Starts a specification of a decision from the events that have happened. Nothing is executed but the pure functions
 * `decide` and `evolve`. Throws if the events cannot follow one another, as `journalOf` does.
 *
 * @example
 * ```ts
 * import { event, given } from "@caravel/testing"
 *
 * given(event("TenantCreated"), event("RelayCreated"))
 *   .when({ _tag: "DeactivateRelay", id: "main" })
 *   .then(event("RelayDeactivated"))
 *
 * given(event("TenantCreated"))
 *   .when({ _tag: "DeactivateRelay", id: "main" })
 *   .then({ _tag: "RelayNotFound", id: "main" })
 * ```
 *
 * @since 0.1.0
 * @category specifications
 */
export const given = (...specifications: ReadonlyArray<EventSpecification>): Given => {
  const { events } = journalOf(...specifications)
  const state = events.reduce(evolve, stateOf([], []))
  const next = contextAfter(events)

  const when = (command: CommandInput, { expected, metadata = next.metadata, now = next.now }: WhenOptions = {}) => {
    const context = { id: next.id, now: DateTime.toUtc(DateTime.unsafeMake(now)), expected, metadata }
    const result: Either.Either<Event, Refusal | ParseResult.ParseError> = Either.flatMap(
      decodeCommand(command),
      (command) => decide(state, command, context)
    )
    const found = Either.match(result, { onLeft: plainError, onRight: plainEvent })
    return {
      result,
      then: (expected: AnyExpected) => {
        if (typeof expected !== "object") {
          throw new TypeError("then takes an event or an error; a specification is not a promise, so do not await it")
        }
        assert.deepStrictEqual(
          found,
          isEvent(expected)
            ? plainEvent(fill(expected, state, context).event)
            : { ...(found._tag === "ParseError" && { message: found.message }), ...expected }
        )
      }
    }
  }
  // The types of the result and of what may be expected follow from the command's tag.
  return { state, when: when as unknown as Given["when"] }
}

type AnyExpected = EventSpecification | PlainError

const isEvent = (expected: AnyExpected): expected is EventSpecification => Object.hasOwn(schemas, expected._tag)

const plainEvent = (event: Event) =>
  Schema.encodeSync(schemas[event._tag] as unknown as Schema.Schema<Event, { readonly _tag: Event["_tag"] }>)(event)

const plainError = (error: Refusal | ParseResult.ParseError) =>
  ParseResult.isParseError(error)
    ? { _tag: error._tag, message: error.message }
    : Schema.encodeSync(RefusalSchema)(error)
