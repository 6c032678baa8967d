/** Commands that a host executes. */
import {
  type Activity,
  type ActivityPubSub,
  Command,
  type CommandRequest,
  type InputLimits,
  StorageError
} from "@caravel/domain"
import { IdempotencyKey, inputError, submissionOf } from "@caravel/domain/adapter"
import { Array as Arr, Effect, ParseResult, Schema, String as Str } from "effect"
import type { CommandHeaders } from "../api/CommandHeaders.js"
import { InvalidRequest } from "../api/RequestError.js"
import { called, type Connection } from "./Connection.js"
import * as RemoteSecret from "./RemoteSecret.js"

declare const crypto: { readonly randomUUID: () => string }

/**
 * Each command is sent with an idempotency key, its own unless the caller set one, so that it can be sent again when
 * the answer is lost. It returns when its activities have been broadcast here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { client, options }: Connection,
  { broadcast, limits, notify }: {
    readonly notify: typeof ActivityPubSub.Service
    readonly limits: typeof InputLimits.Service
    readonly broadcast: (activities: ReadonlyArray<Activity | undefined>) => Effect.Effect<void>
  }
): typeof Command.Service => {
  const headersOf = (commands: Arr.NonEmptyReadonlyArray<CommandRequest>) =>
    Effect.map(submissionOf(commands), ({ commands: [[, { expected, metadata }]], idempotencyKey }) => ({
      "idempotency-key": idempotencyKey ?? IdempotencyKey.make(crypto.randomUUID()),
      ...(expected === undefined ? {} : { "if-match": expected }),
      ...(metadata.actor === undefined ? {} : { "caravel-actor": metadata.actor }),
      ...(metadata.correlationId === undefined ? {} : { "caravel-correlation-id": metadata.correlationId }),
      ...(metadata.causationId === undefined ? {} : { "caravel-causation-id": metadata.causationId })
    }))

  const send = (commands: Arr.NonEmptyReadonlyArray<CommandRequest>, headers: typeof CommandHeaders.Type) => {
    const [command] = commands
    if (commands.length > 1) {
      return Effect.map(
        client.commands.submit({ payload: commands, headers }),
        Arr.map((activity) => activity ?? undefined)
      )
    }
    const { _tag, ...payload } = command
    const method = client.commands[Str.uncapitalize(_tag)] as typeof client.commands.createRelay
    return Effect.map(method({ payload: payload as any, headers }), (activity) => [activity ?? undefined])
  }

  return Command.makeRemote({
    notify,
    limits,
    execute: (commands) =>
      commands.some(RemoteSecret.isHidden) ? Effect.fail(refused(unread)) : Effect.flatMap(
        headersOf(commands),
        (headers) =>
          send(commands, headers).pipe(called("a command", options), Effect.mapError(asInput), Effect.tap(broadcast))
      )
  })
}

const refused = (message: string) =>
  inputError(ParseResult.parseError(new ParseResult.Type(Schema.Unknown.ast, undefined, message)))

const unread =
  "nwcUrl: Expected a wallet URL; this is what Remote.layerOperator has in place of one, which it does not read"

/** The host may have lower limits than this process, which validated the command before. */
const asInput = <E>(error: E) =>
  error instanceof StorageError && error.cause instanceof InvalidRequest ? refused(error.cause.message) : error
