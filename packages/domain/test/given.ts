/** Given events, when a command is decided, then an event or a refusal results. */
import {
  type CommandRequest,
  type CommandTag,
  decide,
  type DecisionContext,
  decodeCommand,
  type Event,
  type EventId,
  evolve,
  type State,
  stateOf
} from "@caravel/domain"
import { commandTable } from "@caravel/domain/adapter"
import { DateTime, Effect, Either } from "effect"

export const alice = "a".repeat(64)
export const bob = "b".repeat(64)
export const url = "nostr+walletconnect://wallet?secret=1"

export const instant = (n: number) => DateTime.unsafeMake(Date.UTC(2026, 0, 1, 0, 0, n))

/** The id of the nth event. */
export const eventId = (n: number) => `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}` as EventId

export const context = (n: number): DecisionContext => ({
  now: instant(n),
  id: eventId(n),
  expected: undefined,
  metadata: {}
})

/** A command from plain values. */
export const command = (_tag: CommandTag, payload: object): CommandRequest =>
  Effect.runSync(decodeCommand({ ...payload, _tag }))

export const empty: State = stateOf([], [])

/** The state after these commands, all accepted, one second apart. */
export const given = (...commands: ReadonlyArray<CommandRequest>): State =>
  commands.reduce(
    (state, command, n) => evolve(state, Either.getOrThrowWith(decide(state, command, context(n)), (error) => error)),
    empty
  )

/** The result of a command at second 1000. */
export const when = (state: State, command: CommandRequest): Either.Either<Event, { readonly _tag: string }> =>
  decide(state, command, context(1000))

export const tags = Object.keys(commandTable) as Array<CommandTag>

export const createAlice = command("CreateTenant", { pubkey: alice })
export const createBob = command("CreateTenant", { pubkey: bob })
export const createOne = command("CreateRelay", { id: "one", tenant: alice, subdomain: "uno" })
