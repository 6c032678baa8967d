/**
 * What a tenant may see and change: only what is theirs. The resources of others are answered as if they did not exist,
 * so that nobody can find out which there are.
 */
import {
  ActivityFeed,
  type CommandTag,
  decodeCommand,
  type Pubkey,
  Query,
  type RelayId,
  RelayNotFound,
  type StorageError,
  TenantNotFound
} from "@caravel/domain"
import { commandTable, fieldIn, namesCommand, resources } from "@caravel/domain/adapter"
import { Context, Effect, Either, Layer, Option, type ParseResult, Record as Rec, Schedule, Stream } from "effect"
import { Identity } from "../api/Identity.js"
import { mayExecute, operatorFields } from "../api/Permissions.js"
import { Forbidden } from "../api/RequestError.js"

/** The arguments have been validated. */
const validated = <A>(
  effect: Effect.Effect<A, StorageError | ParseResult.ParseError>
): Effect.Effect<A, StorageError> => Effect.catchTag(effect, "ParseError", Effect.die)

const queryOf = (all: typeof Query.Service, own: Pubkey): typeof Query.Service => {
  const isOwn = ({ tenant }: { readonly tenant: Pubkey }) => tenant === own
  const tenant = (pubkey: Pubkey) => pubkey === own ? validated(all.tenant(pubkey)) : Effect.succeedNone
  return Query.make({
    tenant,
    findTenants: ({ after = "", limit = Infinity, pastDue }) =>
      Effect.map(
        tenant(own),
        (found) =>
          Option.toArray(found).filter(({ pastDueAt, pubkey }) =>
            limit > 0 && pubkey > after && (pastDue ?? pastDueAt !== null) === (pastDueAt !== null)
          )
      ),
    relay: (id) => Effect.map(validated(all.relay(id)), Option.filter(isOwn)),
    relayBySubdomain: (subdomain) => Effect.map(validated(all.relayBySubdomain(subdomain)), Option.filter(isOwn)),
    findRelays: ({ tenant = own, ...filter }) =>
      tenant === own ? validated(all.findRelays({ ...filter, tenant })) : Effect.succeed([]),
    activity: ({ tenant = own, ...filter }) =>
      tenant === own ? validated(all.activity({ ...filter, tenant })) : Effect.succeed([])
  })
}

const feedOf = (
  all: typeof ActivityFeed.Service,
  { tenant }: typeof Identity.Service
): typeof ActivityFeed.Service => {
  const own = <A extends { readonly tenant: Pubkey }, E>(stream: Stream.Stream<A, E>) =>
    tenant === undefined ? stream : Stream.filter(stream, (activity) => activity.tenant === tenant)
  return { ...all, live: own(all.live), since: (position, options) => own(all.since(position, options)) }
}

/**
 * The queries of an identity: of one with the role `tenant`, only what is the tenant's.
 *
 * @since 0.1.0
 * @category services
 */
export class OwnQuery extends Context.Tag("@caravel/http/OwnQuery")<
  OwnQuery,
  Effect.Effect<typeof Query.Service, never, Identity>
>() {}

/**
 * The feed of an identity: of one with the role `tenant`, only what is the tenant's.
 *
 * @since 0.1.0
 * @category services
 */
export class OwnActivityFeed extends Context.Tag("@caravel/http/OwnActivityFeed")<
  OwnActivityFeed,
  Effect.Effect<typeof ActivityFeed.Service, never, Identity>
>() {}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<OwnQuery | OwnActivityFeed, never, Query | ActivityFeed> = Layer.merge(
  Layer.effect(
    OwnQuery,
    Effect.map(Query, (all) => Effect.map(Identity, ({ tenant }) => tenant === undefined ? all : queryOf(all, tenant)))
  ),
  Layer.effect(
    OwnActivityFeed,
    Effect.map(ActivityFeed, (all) => Effect.map(Identity, (identity) => feedOf(all, identity)))
  )
)

/**
 * The queries of the request's identity.
 *
 * @since 0.1.0
 * @category accessors
 */
export const query: Effect.Effect<typeof Query.Service, never, OwnQuery | Identity> = Effect.flatten(OwnQuery)

/**
 * The feed of the request's identity.
 *
 * @since 0.1.0
 * @category accessors
 */
export const feed: Effect.Effect<typeof ActivityFeed.Service, never, OwnActivityFeed | Identity> = Effect.flatten(
  OwnActivityFeed
)

/**
 * Completes when the credential of the request is no longer valid: it looks every five seconds.
 *
 * @since 0.1.0
 * @category accessors
 */
export const revoked: Effect.Effect<Effect.Effect<void>, never, Identity> = Effect.map(
  Identity,
  ({ isValid }) =>
    Effect.asVoid(Effect.repeat(isValid, { schedule: Schedule.spaced("5 seconds"), while: (valid) => valid }))
)

/**
 * Fails unless the identity may send these commands, which are not decoded yet. A malformed one is not checked: with it,
 * the whole list is refused.
 *
 * @since 0.1.0
 * @category permissions
 */
export const permitted = (
  inputs: ReadonlyArray<unknown>
): Effect.Effect<void, Forbidden | TenantNotFound | RelayNotFound | StorageError, Identity | OwnQuery> =>
  Effect.gen(function*() {
    const { role, tenant } = yield* Identity
    if (role === "admin") return
    const created = new Set<RelayId>()
    for (const input of inputs.filter(namesCommand)) {
      if (!mayExecute(role, input._tag)) return yield* new Forbidden({ role, what: input._tag })
      const forbidden = Rec.toEntries(input as object as Record<string, unknown>).find(([name, value]) =>
        isForbidden(role, input._tag, name) && !isDefault(input._tag, value)
      )
      if (forbidden !== undefined) return yield* new Forbidden({ role, what: forbidden[0] })
      if (tenant !== undefined) yield* owned(input, tenant, created)
    }
  })

const isForbidden = (role: "worker" | "readOnly" | "tenant", tag: CommandTag, field: string) =>
  role === "tenant"
    ? operatorFields.has(field)
    : tag === "UpdateTenant" && !["_tag", resources.tenant.key, ...operatorFields].includes(field)

/** A new resource without a field has null in its place, so that both are the same command. */
const isDefault = (tag: CommandTag, value: unknown) =>
  resources[commandTable[tag].resource].createdBy === tag && value === null

/** Fails unless the command's resource is the tenant's, or was created before in the same list. */
const owned = (input: { readonly _tag: CommandTag }, own: Pubkey, created: Set<RelayId>) =>
  Effect.gen(function*() {
    const decoded = decodeCommand(input)
    if (Either.isLeft(decoded)) return
    const command = decoded.right
    const { createdBy, owner } = resources[commandTable[command._tag].resource]
    const pubkey = fieldIn(command, owner) as Pubkey | undefined
    if (pubkey === own) {
      if (command._tag === createdBy && "id" in command) created.add(command.id)
      return
    }
    if (command._tag === "CreateTenant") {
      return yield* new Forbidden({ role: "tenant", what: "another tenant's pubkey" })
    }
    if (pubkey !== undefined) return yield* new TenantNotFound({ pubkey })
    const { id } = command as { readonly id: RelayId } & object
    const relay = yield* Effect.flatMap(query, ({ relay }) => validated(relay(id)))
    if (Option.isNone(relay) && !created.has(id)) return yield* new RelayNotFound({ id })
  })
