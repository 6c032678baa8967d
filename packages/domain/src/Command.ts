import { Array as Arr, Context, Effect, Either, identity, type ParseResult, Record as Rec, String as Str } from "effect"
import type { ActivityPubSub } from "./ActivityPubSub.js"
import * as CommandContext from "./command/CommandContext.js"
import type { IdempotencyConflict, StorageError } from "./command/CommandError.js"
import { count } from "./command/CommandMetric.js"
import {
  type CommandInput,
  type CommandOf,
  type CommandRequest,
  commands,
  type FailureOf,
  type SuccessOf
} from "./command/CommandRequest.js"
import type { CommandTag } from "./command/CommandTable.js"
import * as Input from "./command/Input.js"
import type { InputLimits } from "./command/InputLimits.js"
import { payloadOf } from "./command/MethodParameters.js"
import type { Methods } from "./command/Methods.js"
import { type Submission, submissionOf } from "./decide/Batch.js"
import { attributesOf, type CommandExit, type Executed } from "./decide/CommandSpan.js"
import type { Refusal } from "./decide/Decider.js"
import { activityOf, type RecordedEvent } from "./event/Event.js"
import type { Activity } from "./model/Activity.js"
import type { CallerMetadata } from "./model/Metadata.js"
import { withSpan } from "./runtime/Span.js"

/**
 * The methods of `Command`: one per command, `submit` for several commands at once, and the broadcast of activities.
 *
 * @since 0.1.0
 * @category services
 */
export interface CommandService extends Methods {
  /**
   * Executes commands in order, in one transaction: all of them or none. Returns the result of each command. Accepts
   * plain values with their `_tag`, and instances, which are validated too. A `ParseError` names the index and the
   * field.
   */
  readonly submit: <const Commands extends ReadonlyArray<CommandInput>>(
    commands: Commands
  ) => Effect.Effect<
    { readonly [Index in keyof Commands]: SuccessOf<CommandOf<Commands[Index]["_tag"]>> },
    FailureOf<CommandOf<Commands[number]["_tag"]>> | ParseResult.ParseError
  >
  /** The broadcast of activities: `yield* command.notify.subscribe`. */
  readonly notify: typeof ActivityPubSub.Service
}

/**
 * The write side: one method per command, derived from the command table, and `submit` for several commands at once.
 *
 * Each method is atomic and returns after its activity was broadcast. A method that runs inside the caller's own
 * transaction joins it: the command is rolled back with that transaction, and its activity is broadcast after the outer
 * commit. Methods accept plain values and model instances, and fail with a `ParseError` on malformed input before
 * anything is written.
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * const pubkey = "ab".repeat(32)
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   yield* command.createTenant({ pubkey })
 *   const activity = yield* command.createRelay({ id: "main", tenant: pubkey, subdomain: "main" })
 *   assert.deepStrictEqual(activity.activityType, "create_relay")
 *   const error = yield* Effect.flip(command.deactivateRelay({ id: "other" }))
 *   assert.deepStrictEqual(error._tag, "RelayNotFound")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @example
 * ```ts
 * import * as assert from "node:assert"
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * const pubkey = "ab".repeat(32)
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   yield* command.createTenant({ pubkey }).pipe(
 *     Command.expecting(0),
 *     Command.withIdempotencyKey("0b1e2f6e-7d6c-4a39-9d0e-2f1a8b7c5d4e"),
 *     Command.withMetadata({ actor: "console" })
 *   )
 *   yield* command.setTenantPastDue(pubkey)
 *   const late = yield* Effect.flip(command.clearTenantPastDue(pubkey).pipe(Command.expecting(1)))
 *   assert.deepStrictEqual(late._tag, "VersionConflict")
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Command extends Context.Tag("@caravel/domain/Command")<Command, CommandService>() {
  /**
   * Adds metadata to every command inside the effect: its actor, its correlation id and its causation id. The metadata
   * is stored with the commands' events. Nested uses are merged, and the inner one takes precedence. Fails with a
   * `ParseError`, before anything inside runs, if a value is not a text of 1 to 256 characters.
   */
  static readonly withMetadata: (
    metadata: CallerMetadata
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ParseResult.ParseError, R> =
    CommandContext.withMetadata

  /**
   * Makes the command inside the effect safe to retry. A command with a known key returns the outcome of the first
   * attempt, success or refusal, without a second event or broadcast, from any process and for as long as keys are
   * kept. Failures that a retry can cure, a `StorageError` or an interruption, are not remembered.
   *
   * A key identifies one command, or one submitted list. A second, different command inside the effect fails with
   * `IdempotencyConflict`, as it does anywhere else. Keys are stored per tenant, so different tenants may use the same
   * key; a list belongs to the tenant of its first command. The key should be random, such as a UUID.
   */
  static readonly withIdempotencyKey: (
    key: string
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ParseResult.ParseError, R> =
    CommandContext.withIdempotencyKey

  /**
   * Makes every command inside the effect fail with `VersionConflict` unless its resource is at this version, so that a
   * late command cannot overwrite changes that its caller has not seen. The version of a resource that does not exist
   * is 0. For a submitted list, the version is that of the first command's resource before the list runs.
   */
  static readonly expecting: (
    version: number
  ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ParseResult.ParseError, R> =
    CommandContext.expecting

  /** Builds the service on an adapter's `append`, which writes the events of a submission atomically. */
  static readonly make = (adapter: {
    readonly append: (
      submission: Submission
    ) => Effect.Effect<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict | StorageError>
    readonly notify: typeof ActivityPubSub.Service
    readonly limits: typeof InputLimits.Service
  }): typeof Command.Service =>
    serviceOf({
      ...adapter,
      execute: (commands) => Effect.flatMap(submissionOf(commands), adapter.append),
      activityOf
    })

  /**
   * Builds the service on a host's `execute`, which decides and writes elsewhere: all of the commands or none. Returns
   * the activity of each, `undefined` for a command that logs none. Input is validated before it is sent.
   */
  static readonly makeRemote = (host: {
    readonly execute: (
      commands: Arr.NonEmptyReadonlyArray<CommandRequest>
    ) => Effect.Effect<ReadonlyArray<Activity | undefined>, CommandFailure>
    readonly notify: typeof ActivityPubSub.Service
    readonly limits: typeof InputLimits.Service
  }): typeof Command.Service => serviceOf({ ...host, activityOf: identity })
}

type CommandFailure = Refusal | IdempotencyConflict | StorageError | ParseResult.ParseError

/** The methods and `submit`, on a function that executes decoded commands. */
const serviceOf = <Result extends Executed | undefined>({ activityOf, execute, limits, notify }: {
  readonly execute: (
    commands: Arr.NonEmptyReadonlyArray<CommandRequest>
  ) => Effect.Effect<ReadonlyArray<Result>, CommandFailure>
  readonly activityOf: (result: Result) => Activity | undefined
  readonly notify: typeof ActivityPubSub.Service
  readonly limits: typeof InputLimits.Service
}): typeof Command.Service => {
  const { readAll, readOne } = Input.make(limits)

  const counted = (commands: Arr.NonEmptyReadonlyArray<CommandRequest>) =>
    Effect.matchEffect(execute(commands), {
      onFailure: (error) => {
        for (const command of commands) count(command._tag, error._tag)
        return Effect.fail(error)
      },
      onSuccess: (results) => {
        for (const command of commands) count(command._tag, "accepted")
        return Effect.succeed(results)
      }
    })

  const refuse = (tag: CommandTag, error: ParseResult.ParseError) =>
    Effect.suspend(() => {
      count(tag, error._tag)
      return Effect.fail(error)
    })

  const method = (tag: CommandTag) => {
    const name = `Command.${Str.uncapitalize(tag)}`
    const payload = payloadOf(tag)
    return (...parameters: ReadonlyArray<unknown>) => {
      const command = readOne(tag, payload(parameters))
      const executed: Effect.Effect<ReadonlyArray<Result>, CommandFailure> = Either.isRight(command)
        ? counted([command.right])
        : refuse(tag, command.left)
      const decoded = Either.isRight(command) ? command.right : undefined
      const traced = withSpan(name, undefined, (exit: CommandExit) => attributesOf(decoded, exit))
      return Effect.map(traced(executed), ([result]) => activityOf(result!))
    }
  }

  const submit = (inputs: ReadonlyArray<unknown>) => {
    const attributes = { "caravel.commands": Arr.isArray(inputs) ? inputs.length : 0 }
    return Effect.flatMap(
      readAll(inputs),
      (commands) => Arr.isNonEmptyReadonlyArray(commands) ? counted(commands) : Effect.succeed([])
    ).pipe(
      withSpan("Command.submit", { attributes }, (exit: CommandExit) => attributesOf(undefined, exit)),
      Effect.map(Arr.map(activityOf))
    )
  }

  return {
    ...Rec.mapEntries(commands, (_, tag) => [Str.uncapitalize(tag), method(tag)]),
    submit,
    notify
    // The methods' types are generated from the command table and the schemas of their arguments and results.
  } as unknown as typeof Command.Service
}
