/** Commands that are accepted together or not at all, and what an adapter has to write for them. */
import { Array, Effect, Either, HashMap, Option, type Redacted } from "effect"
import { circumstances } from "../command/CommandContext.js"
import type { StorageError } from "../command/CommandError.js"
import type { CommandRequest } from "../command/CommandRequest.js"
import { currentInstant } from "../command/CurrentInstant.js"
import type { IdempotencyKey } from "../command/IdempotencyKey.js"
import type { Event } from "../event/Event.js"
import * as EventId from "../model/EventId.js"
import { withSpanIds } from "../model/Metadata.js"
import type { RelayId, RelayState, Subdomain } from "../model/Relay.js"
import type { Pubkey, SecretId, TenantState } from "../model/Tenant.js"
import { isTraced } from "../runtime/Span.js"
import { isPauseAt, type Steps } from "../runtime/Steps.js"
import { decide, type DecisionContext, evolve, type Refusal, type State } from "./Decider.js"

/**
 * What accepted commands come to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  /** The state after them. */
  readonly state: State
  /** One event per command, in order. */
  readonly events: ReadonlyArray<Event>
  /** The secrets that they set, to be kept beside the journal. */
  readonly secrets: ReadonlyArray<{ readonly id: SecretId; readonly value: Redacted.Redacted }>
  /** The secrets that they replaced or cleared, to be deleted after the others have been stored. */
  readonly droppedSecrets: ReadonlyArray<SecretId>
}

/**
 * The state that holds these resources and no others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stateOf = (tenants: Iterable<TenantState>, relays: Iterable<RelayState>): State => {
  const state = {
    tenants: HashMap.beginMutation(HashMap.empty<Pubkey, TenantState>()),
    relays: HashMap.beginMutation(HashMap.empty<RelayId, RelayState>()),
    subdomains: HashMap.beginMutation(HashMap.empty<Subdomain, RelayId>())
  }
  for (const tenant of tenants) HashMap.set(state.tenants, tenant.pubkey, tenant)
  for (const relay of relays) {
    HashMap.set(state.relays, relay.id, relay)
    HashMap.set(state.subdomains, relay.subdomain, relay.id)
  }
  for (const map of Object.values(state)) HashMap.endMutation(map)
  return state
}

/**
 * The resources that the decisions on these commands depend on: a state that holds them, as far as they exist, and the
 * owners of these subdomains decides as the whole one does.
 *
 * @since 0.1.0
 * @category decisions
 */
export const reads = (commands: Iterable<Undecided>) => {
  const tenants = new Set<Pubkey>()
  const relays = new Set<RelayId>()
  const subdomains = new Set<Subdomain>()
  for (const [command] of commands) {
    if ("pubkey" in command) tenants.add(command.pubkey)
    else relays.add(command.id)
    if ("tenant" in command) tenants.add(command.tenant)
    if ("subdomain" in command && command.subdomain !== undefined) subdomains.add(command.subdomain)
  }
  return { tenants: [...tenants], relays: [...relays], subdomains: [...subdomains] }
}

/**
 * A command with what its decision takes from outside.
 *
 * @since 0.1.0
 * @category models
 */
export type Undecided = readonly [CommandRequest, DecisionContext]

/**
 * Commands that are accepted together or refused together, under one key if they have one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unit {
  readonly commands: Array.NonEmptyReadonlyArray<Undecided>
  readonly idempotencyKey: IdempotencyKey | undefined
}

/**
 * Commands that are to be decided now, each under a new id, in the circumstances of the fiber. What it expects, it expects
 * of the first one's resource: the others meet what that one leaves.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unitOf = (commands: Array.NonEmptyReadonlyArray<CommandRequest>): Effect.Effect<Unit, StorageError> =>
  Effect.withFiberRuntime((fiber) => {
    const { expected, idempotencyKey, metadata: given } = fiber.getFiberRef(circumstances)
    const metadata = isTraced(fiber) ? withSpanIds(given, fiber.currentSpan) : given
    return Effect.map(currentInstant, (now) => ({
      commands: Array.map(commands, (command, index): Undecided => [
        command,
        { now, id: EventId.unsafeMake(now.epochMillis), expected: index === 0 ? expected : undefined, metadata }
      ]),
      idempotencyKey
    }))
  })

/**
 * Decides commands one after another, each on what the ones before it have changed. The first refusal refuses them all.
 *
 * @since 0.1.0
 * @category decisions
 */
export const decideAll = (
  state: State,
  commands: ReadonlyArray<Undecided>
): Either.Either<Batch, Refusal> => {
  const batch = new Decided(state)
  for (const command of commands) {
    const refusal = batch.decide(command)
    if (refusal !== undefined) return Either.left(refusal)
  }
  return Either.right(batch)
}

/**
 * The same in steps, for long lists.
 *
 * @since 0.1.0
 * @category decisions
 */
export function* decideInSteps(
  state: State,
  commands: ReadonlyArray<Undecided>
): Steps<Either.Either<Batch, Refusal>> {
  const batch = new Decided(state)
  for (const command of commands) {
    if (isPauseAt(batch.events.length)) yield
    const refusal = batch.decide(command)
    if (refusal !== undefined) return Either.left(refusal)
  }
  return Either.right(batch)
}

/** A batch to which commands are added. */
class Decided implements Batch {
  state: State
  readonly events: Array<Event> = []
  readonly secrets: Array<Batch["secrets"][number]> = []
  readonly droppedSecrets: Array<SecretId> = []

  constructor(state: State) {
    this.state = state
  }

  /** Adds a command's event, unless the command is refused: then it returns why. */
  decide([command, context]: Undecided): Refusal | undefined {
    const decided = decide(this.state, command, context)
    if (Either.isLeft(decided)) return decided.left
    const event = decided.right
    if (event.resourceType === "tenant" && "nwcUrl" in event.changes) {
      const dropped = Option.flatMapNullable(HashMap.get(this.state.tenants, event.resourceId), ({ nwcUrl }) => nwcUrl)
      if (Option.isSome(dropped)) this.droppedSecrets.push(dropped.value)
      const id = event.changes.nwcUrl
      if (id && "nwcUrl" in command && command.nwcUrl) this.secrets.push({ id, value: command.nwcUrl })
    }
    this.events.push(event)
    this.state = evolve(this.state, event)
    return undefined
  }
}
