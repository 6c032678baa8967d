/**
 * The business rules: which commands are accepted, and what they change. Rules are in this file only. They are pure and
 * total, and use no clock, randomness or storage.
 */
import { type DateTime, Either, HashMap, Option, Record as Rec } from "effect"
import {
  RelayAlreadyExists,
  RelayNotFound,
  SubdomainTaken,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "../command/CommandError.js"
import type { IdempotencyConflict, StorageError } from "../command/CommandError.js"
import type { CommandOf, CommandRequest, FailureOf } from "../command/CommandRequest.js"
import { type CommandTable, commandTable, type CommandTag } from "../command/CommandTable.js"
import type { Event, EventOf } from "../event/Event.js"
import { isWhole } from "../event/EventTable.js"
import type { EventId } from "../model/EventId.js"
import type { Metadata } from "../model/Metadata.js"
import {
  defaultRelayOptions,
  type RelayId,
  type RelayOptions,
  type RelayState,
  type Subdomain
} from "../model/Relay.js"
import { fieldIn, type Resource, resources, type ResourceState } from "../model/Resource.js"
import type { Pubkey, SecretId, TenantState } from "../model/Tenant.js"
import { branded } from "../model/Trusted.js"

/**
 * The resources that decisions depend on: all of them, or those that `reads` names.
 *
 * @since 0.1.0
 * @category decisions
 */
export interface State {
  readonly tenants: HashMap.HashMap<Pubkey, TenantState>
  readonly relays: HashMap.HashMap<RelayId, RelayState>
  readonly subdomains: HashMap.HashMap<Subdomain, RelayId>
}

/**
 * The inputs of a decision besides the state and the command: the current instant, the expected version of the
 * resource, and the id and metadata of the resulting event.
 *
 * @since 0.1.0
 * @category decisions
 */
export interface DecisionContext {
  readonly now: DateTime.Utc
  readonly id: EventId
  readonly expected: number | undefined
  readonly metadata: Metadata
}

/**
 * The errors that can refuse a command.
 *
 * @since 0.1.0
 * @category decisions
 */
export type RefusalOf<Command> = Exclude<FailureOf<Command>, IdempotencyConflict | StorageError>

/**
 * The errors that can refuse any command.
 *
 * @since 0.1.0
 * @category decisions
 */
export type Refusal = RefusalOf<CommandRequest>

type EventFor<Tag extends CommandTag> = EventOf<CommandTable[Tag]["event"]>

/** Accepts a command and returns its changes, the new version and the owning tenant, or refuses it. */
type Rule<Tag extends CommandTag> = (
  state: State,
  command: CommandOf<Tag>,
  context: DecisionContext
) => Either.Either<Decision<EventFor<Tag>["changes"]>, RefusalOf<CommandOf<Tag>>>

interface Decision<Changes> {
  readonly tenant: Pubkey
  readonly version: number
  readonly changes: Changes
}

const rules: { readonly [Tag in CommandTag]: Rule<Tag> } = {
  CreateTenant: (state, { nwcUrl, pubkey, stripeCustomerId }, { id }) =>
    HashMap.has(state.tenants, pubkey)
      ? Either.left(new TenantAlreadyExists({ pubkey }))
      : Either.right({
        tenant: pubkey,
        version: 1,
        changes: {
          nwcUrl: reference(nwcUrl, id),
          nwcError: null,
          stripeCustomerId,
          stripeSubscriptionId: null,
          pastDueAt: null
        }
      }),

  UpdateTenant: tenantRule(({ nwcUrl, stripeCustomerId }, { id }) => ({
    ...(nwcUrl !== undefined && { nwcUrl: reference(nwcUrl, id) }),
    ...(stripeCustomerId !== undefined && { stripeCustomerId })
  })),

  CreateRelay: (state, { _tag, id, tenant, ...configuration }) =>
    existingTenant(state, tenant).pipe(
      Either.flatMap(() => HashMap.has(state.relays, id) ? Either.left(new RelayAlreadyExists({ id })) : Either.void),
      Either.flatMap(() => freeSubdomain(state, configuration.subdomain, id)),
      Either.map(() => ({
        tenant,
        version: 1,
        // V8 is slow to add properties after a spread: with these last, this literal takes 2.6 µs instead of 0.3.
        changes: { status: "active", synced: false, syncError: "", stripeSubscriptionItemId: null, ...configuration }
      }))
    ),

  UpdateRelay: (state, { _tag, id, subdomain, ...options }) =>
    Either.gen(function*() {
      const { tenant, version } = yield* existingRelay(state, id)
      if (subdomain !== undefined) yield* freeSubdomain(state, subdomain, id)
      return {
        tenant,
        version: version + 1,
        changes: { ...(subdomain !== undefined && { subdomain }), ...withClearedAsDefaults(options) }
      }
    }),

  DeactivateRelay: relayRule(() => ({ status: "inactive" })),
  MarkRelayDelinquent: relayRule(() => ({ status: "delinquent" })),
  ActivateRelay: relayRule(() => ({ status: "active" })),
  FailRelaySync: relayRule(({ syncError }) => ({ syncError })),
  CompleteRelaySync: relayRule(() => ({ synced: true, syncError: "" })),
  DeleteRelaySubscriptionItem: relayRule(() => ({ stripeSubscriptionItemId: null })),
  SetRelaySubscriptionItem: relayRule(({ stripeSubscriptionItemId }) => ({ stripeSubscriptionItemId })),
  SetTenantSubscription: tenantRule(({ stripeSubscriptionId }) => ({ stripeSubscriptionId })),
  ClearTenantSubscription: tenantRule(() => ({ stripeSubscriptionId: null })),
  SetTenantNwcError: tenantRule(({ nwcError }) => ({ nwcError })),
  ClearTenantNwcError: tenantRule(() => ({ nwcError: null })),
  SetTenantPastDue: tenantRule((_, { now }) => ({ pastDueAt: now })),
  ClearTenantPastDue: tenantRule(() => ({ pastDueAt: null }))
}

function tenantRule<Command extends { readonly pubkey: Pubkey }, Changes>(
  changes: (command: Command, context: DecisionContext) => Changes
) {
  return (
    state: State,
    command: Command,
    context: DecisionContext
  ): Either.Either<Decision<Changes>, TenantNotFound> =>
    Either.map(existingTenant(state, command.pubkey), ({ pubkey, version }) => ({
      tenant: pubkey,
      version: version + 1,
      changes: changes(command, context)
    }))
}

function relayRule<Command extends { readonly id: RelayId }, Changes>(changes: (command: Command) => Changes) {
  return (state: State, command: Command): Either.Either<Decision<Changes>, RelayNotFound> =>
    Either.map(existingRelay(state, command.id), ({ tenant, version }) => ({
      tenant,
      version: version + 1,
      changes: changes(command)
    }))
}

const existingTenant = (state: State, pubkey: Pubkey) =>
  Either.fromOption(HashMap.get(state.tenants, pubkey), () => new TenantNotFound({ pubkey }))

const existingRelay = (state: State, id: RelayId) =>
  Either.fromOption(HashMap.get(state.relays, id), () => new RelayNotFound({ id }))

const freeSubdomain = (state: State, subdomain: Subdomain, id: RelayId) =>
  Option.exists(HashMap.get(state.subdomains, subdomain), (owner) => owner !== id)
    ? Either.left(new SubdomainTaken({ subdomain }))
    : Either.void

/** The id of the event that sets a secret is the reference to the secret. */
const reference = (secret: unknown, id: EventId) => secret === null ? null : branded<SecretId>(id)

/** An absent field keeps its value; a null field is reset to its default. */
const withClearedAsDefaults = (
  options: { readonly [Name in keyof RelayOptions]?: RelayOptions[Name] | null | undefined }
): Partial<RelayOptions> => {
  const present = Rec.filter<string, unknown>(options, (value) => value !== undefined)
  return Rec.map(present, (value, name) => value ?? defaultRelayOptions[name as keyof RelayOptions])
}

/**
 * The resource that a command is about.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resourceOf = (command: CommandRequest): Resource => {
  const { resource: resourceType } = commandTable[command._tag]
  return { resourceType, resourceId: fieldIn(command, resources[resourceType].key) } as Resource
}

/**
 * A resource in a state, or `None` if it does not exist there.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resourceIn = (
  state: State,
  { resourceId, resourceType }: Pick<Event, "resourceId" | "resourceType">
): Option.Option<ResourceState> => {
  const collection: HashMap.HashMap<string, ResourceState> = state[resources[resourceType].collection]
  return HashMap.get(collection, resourceId)
}

/**
 * Refuses a command whose resource is not at the expected version; 0 is the version of a resource that does not exist.
 * Whether the resource must exist is checked by the rules, whatever version is expected.
 */
const checkExpectedVersion = (
  state: State,
  command: CommandRequest,
  resource: Resource,
  expected: number | undefined
): Either.Either<void, VersionConflict> => {
  if (expected === undefined) return Either.void
  const actual = Option.match(resourceIn(state, resource), { onNone: () => 0, onSome: ({ version }) => version })
  const creates = command._tag === resources[resource.resourceType].createdBy
  return actual === expected || creates === actual > 0
    ? Either.void
    : Either.left(new VersionConflict({ expected, actual }))
}

/**
 * Decides one command. Returns its event, or the refusal.
 *
 * @since 0.1.0
 * @category decisions
 */
export const decide = <Command extends CommandRequest>(
  state: State,
  command: Command,
  context: DecisionContext
): Either.Either<EventFor<Command["_tag"]>, RefusalOf<Command>> => {
  const resource = resourceOf(command)
  // Each rule accepts its own command; TypeScript cannot infer that from a lookup.
  const rule = rules[command._tag] as unknown as (
    ...parameters: Parameters<typeof decide>
  ) => Either.Either<Decision<EventFor<Command["_tag"]>["changes"]>, RefusalOf<Command>>
  const checked = checkExpectedVersion(state, command, resource, context.expected)
  if (Either.isLeft(checked)) return Either.left(checked.left as RefusalOf<Command>)
  return Either.map(rule(state, command, context), ({ changes, tenant, version }) => ({
    _tag: commandTable[command._tag].event,
    id: context.id,
    tenant,
    resourceType: resource.resourceType,
    resourceId: resource.resourceId,
    version,
    createdAt: context.now,
    metadata: context.metadata,
    changes
  } as EventFor<Command["_tag"]>))
}

/**
 * The state after an event. A change to a resource that does not exist has no effect.
 *
 * @since 0.1.0
 * @category decisions
 */
export const evolve = (state: State, event: Event): State => {
  if (event.resourceType === "tenant") {
    const tenant = evolveTenant(HashMap.get(state.tenants, event.resourceId), event)
    return Option.match(tenant, {
      onNone: () => state,
      onSome: (tenant) => ({ ...state, tenants: HashMap.set(state.tenants, tenant.pubkey, tenant) })
    })
  }
  const before = HashMap.get(state.relays, event.resourceId)
  return Option.match(evolveRelay(before, event), {
    onNone: () => state,
    onSome: (relay) => ({
      ...state,
      relays: HashMap.set(state.relays, relay.id, relay),
      subdomains: Option.isSome(before)
        ? before.value.subdomain === relay.subdomain
          ? state.subdomains
          : HashMap.set(HashMap.remove(state.subdomains, before.value.subdomain), relay.subdomain, relay.id)
        : HashMap.set(state.subdomains, relay.subdomain, relay.id)
    })
  })
}

type TenantEvent = Extract<Event, { readonly resourceType: "tenant" }>
type RelayEvent = Extract<Event, { readonly resourceType: "relay" }>

/**
 * The tenant after an event about it; `None` if it does not exist.
 *
 * @since 0.1.0
 * @category decisions
 */
export const evolveTenant = (tenant: Option.Option<TenantState>, event: TenantEvent): Option.Option<TenantState> =>
  isWhole(event)
    ? Option.some({ pubkey: event.resourceId, createdAt: event.createdAt, version: event.version, ...event.changes })
    : Option.map(tenant, (tenant) => ({ ...tenant, ...event.changes, version: event.version }))

/**
 * The relay after an event about it; `None` if it does not exist.
 *
 * @since 0.1.0
 * @category decisions
 */
export const evolveRelay = (relay: Option.Option<RelayState>, event: RelayEvent): Option.Option<RelayState> =>
  isWhole(event)
    ? Option.some({
      id: event.resourceId,
      tenant: event.tenant,
      createdAt: event.createdAt,
      version: event.version,
      ...event.changes
    })
    : Option.map(relay, (relay) => ({ ...relay, ...event.changes, version: event.version }))
