/** Decides commands that are accepted or refused together, and collects what an adapter has to write. */
import { Array as Arr, Effect, Either, HashMap, Option, Record as Rec, Redacted } from "effect"
import { commandContext } from "../command/CommandContext.js"
import type { StorageError } from "../command/CommandError.js"
import { type CommandRequest, commands as schemas } from "../command/CommandRequest.js"
import { currentInstant } from "../command/CurrentInstant.js"
import type { IdempotencyKey } from "../command/IdempotencyKey.js"
import { referencesOf } from "../command/Payload.js"
import type { Event } from "../event/Event.js"
import * as EventId from "../model/EventId.js"
import { withSpanIds } from "../model/Metadata.js"
import type { RelayId, RelayState, Subdomain } from "../model/Relay.js"
import { fieldIn, resources } from "../model/Resource.js"
import type { Pubkey, SecretId, TenantState } from "../model/Tenant.js"
import { isTraced } from "../runtime/Span.js"
import { isPauseAt, type Steps } from "../runtime/Steps.js"
import { decide, type DecisionContext, evolve, type Refusal, resourceIn, type State } from "./Decider.js"

/**
 * The result of accepted commands.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  /** The state after the commands. */
  readonly state: State
  /** One event per command, in order. */
  readonly events: ReadonlyArray<Event>
  /** The secrets that the commands set, to be stored outside the journal. */
  readonly secrets: ReadonlyArray<{ readonly id: SecretId; readonly value: Redacted.Redacted }>
  /** The secrets that the commands replaced or cleared. Delete them after `secrets` have been stored. */
  readonly droppedSecrets: ReadonlyArray<SecretId>
}

/**
 * The state that holds these tenants and relays and no others.
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
  HashMap.endMutation(state.tenants)
  HashMap.endMutation(state.relays)
  HashMap.endMutation(state.subdomains)
  return state
}

/** For each command's tag, the fields that name resources. */
const references = Rec.map(schemas, referencesOf)

/**
 * The resources that the decisions on these commands depend on. They are the resources that the commands' fields name,
 * by their schemas. A state that holds those of them that exist, and the relays with these subdomains, leads to the
 * same decisions as the whole state. A rule that reads any other resource fails the test "names every resource that the
 * decisions depend on".
 *
 * @since 0.1.0
 * @category decisions
 */
export const reads = (commands: Iterable<PendingCommand>) => {
  const named = { tenants: new Set<Pubkey>(), relays: new Set<RelayId>(), subdomains: new Set<Subdomain>() }
  for (const [command] of commands) {
    for (const [field, collection] of references[command._tag]) {
      const value = fieldIn(command, field)
      // The field's schema is the schema of the collection's keys.
      if (value !== undefined && value !== null) (named[collection] as Set<unknown>).add(value)
    }
  }
  return { tenants: [...named.tenants], relays: [...named.relays], subdomains: [...named.subdomains] }
}

/**
 * A command and the context of its decision.
 *
 * @since 0.1.0
 * @category models
 */
export type PendingCommand = readonly [CommandRequest, DecisionContext]

/**
 * Commands that are accepted or refused together, with their idempotency key if they have one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Submission {
  readonly commands: Arr.NonEmptyReadonlyArray<PendingCommand>
  readonly idempotencyKey: IdempotencyKey | undefined
}

/**
 * A submission of commands to be decided now, each with a new event id, in the fiber's command context. An expected
 * version applies to the first command's resource only: each further command is decided on the state that the previous
 * ones leave.
 *
 * @since 0.1.0
 * @category constructors
 */
export const submissionOf = (
  commands: Arr.NonEmptyReadonlyArray<CommandRequest>
): Effect.Effect<Submission, StorageError> =>
  Effect.withFiberRuntime((fiber) => {
    const { expected, idempotencyKey, metadata: given } = fiber.getFiberRef(commandContext)
    const metadata = isTraced(fiber) ? withSpanIds(given, fiber.currentSpan) : given
    return Effect.map(currentInstant, (now) => ({
      commands: Arr.map(commands, (command, index): PendingCommand => [
        command,
        { now, id: EventId.unsafeMake(now.epochMillis), expected: index === 0 ? expected : undefined, metadata }
      ]),
      idempotencyKey
    }))
  })

/**
 * Decides commands in order, each on the state that the previous ones leave. The first refusal refuses them all.
 *
 * @since 0.1.0
 * @category decisions
 */
export const decideAll = (
  state: State,
  commands: ReadonlyArray<PendingCommand>
): Either.Either<Batch, Refusal> => {
  const batch = new Decided(state)
  for (const command of commands) {
    const refusal = batch.decide(command)
    if (refusal !== undefined) return Either.left(refusal)
  }
  return Either.right(batch)
}

/**
 * Like `decideAll`, in steps, for long lists.
 *
 * @since 0.1.0
 * @category decisions
 */
export function* decideInSteps(
  state: State,
  commands: ReadonlyArray<PendingCommand>
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

  /** Adds the command's event, or returns the refusal. */
  decide([command, context]: PendingCommand): Refusal | undefined {
    const decided = decide(this.state, command, context)
    if (Either.isLeft(decided)) return decided.left
    const event = decided.right
    const { secret: field } = resources[event.resourceType]
    if (field !== undefined && field in event.changes) {
      // The state and the event hold references; the command holds the secret itself.
      const dropped = Option.map(
        resourceIn(this.state, event),
        (resource) => fieldIn(resource, field) as SecretId | null
      )
      if (Option.isSome(dropped) && dropped.value !== null) this.droppedSecrets.push(dropped.value)
      const value = fieldIn(command, field)
      if (Redacted.isRedacted(value)) {
        this.secrets.push({ id: fieldIn(event.changes, field) as SecretId, value: value as Redacted.Redacted })
      }
    }
    this.events.push(event)
    this.state = evolve(this.state, event)
    return undefined
  }
}
