/** All services without I/O, for tests and trials. Nothing outlives the layer. */
import {
  type Activity,
  type ActivityFeed,
  activityOf,
  ActivityPubSub,
  type ActivityType,
  Command,
  History,
  type IdempotencyConflict,
  InputLimits,
  type Journal,
  Query,
  type RecordedEvent,
  type Refusal,
  Relay,
  type RelayId,
  type RelayState,
  type ResourceState,
  type ResourceType,
  type SecretId,
  Secrets,
  Tenant,
  type TenantState
} from "@caravel/domain"
import {
  clockJumps,
  decideInSteps,
  defaultClockTolerance,
  defaultIdempotencyKeysKept,
  fieldIn,
  identityOf,
  makeClockReport,
  recall,
  resources,
  scopesOf,
  type Steps,
  type Submission
} from "@caravel/domain/adapter"
import { Consumer, type ConsumerStore, InProcess, Tail } from "@caravel/pubsub"
import { Array as Arr, DateTime, Effect, Either, HashMap, Layer, Option, Order, pipe, Redacted } from "effect"
import { batchOf, type GivenJournal, type GivenRows } from "./internal/Given.js"
import { type KeptUntil, layerStore, layerStoreWith, record, Store } from "./internal/Store.js"
import { Turns } from "./internal/Turns.js"
import * as MemoryConsumerStore from "./MemoryConsumerStore.js"
import * as MemoryJournal from "./MemoryJournal.js"

type Outcome = Either.Either<ReadonlyArray<RecordedEvent>, Refusal>

const layerQuery = Layer.effect(
  Query,
  Effect.map(Store, (store) => {
    /** A resource with its secret instead of the reference. */
    const withSecret = <State extends ResourceState>(type: ResourceType, state: State): State => {
      const { secret } = resources[type]
      return secret === undefined
        ? state
        : { ...state, [secret]: store.secrets.get(fieldIn(state, secret) as SecretId) ?? null }
    }
    const toTenant = (tenant: TenantState) => Tenant.trusted(withSecret<any>("tenant", tenant))
    const toRelay = (relay: RelayState) => Relay.trusted(withSecret("relay", relay))

    /** The resources of a collection that match, after a key and at most `limit`, ordered by key. */
    const find = <Id extends string, State>(
      collection: HashMap.HashMap<Id, State>,
      { after = "", limit = Infinity }: { readonly after?: string | undefined; readonly limit?: number | undefined },
      matches: (state: State) => boolean
    ): ReadonlyArray<State> =>
      pipe(
        Arr.filter(HashMap.entries(collection), ([id, state]) => id > after && matches(state)),
        Arr.sortWith(([id]): string => id, Order.string),
        Arr.take(limit),
        Arr.map(([, state]) => state)
      )
    const relay = (id: RelayId) => Option.map(HashMap.get(store.state.relays, id), toRelay)

    return Query.make({
      tenant: (pubkey) => Effect.sync(() => Option.map(HashMap.get(store.state.tenants, pubkey), toTenant)),
      findTenants: ({ pastDue, ...page }) =>
        Effect.sync(() =>
          find(store.state.tenants, page, ({ pastDueAt }) => pastDue === undefined || pastDue === (pastDueAt !== null))
            .map(toTenant)
        ),
      relay: (id) => Effect.sync(() => relay(id)),
      relayBySubdomain: (subdomain) =>
        Effect.sync(() => Option.flatMap(HashMap.get(store.state.subdomains, subdomain), relay)),
      findRelays: ({ plan, status, synced, tenant, ...page }) =>
        Effect.sync(() =>
          find(store.state.relays, page, (relay) =>
            (tenant === undefined || relay.tenant === tenant) &&
            (status === undefined || Arr.ensure(status).includes(relay.status)) &&
            (plan === undefined || Arr.ensure(plan).includes(relay.plan)) &&
            (synced === undefined || relay.synced === synced)).map(toRelay)
        ),
      activity: ({ activityType, after, limit = Infinity, resourceId, tenant, upTo = Infinity }) =>
        Effect.sync(() => {
          const types: ReadonlyArray<ActivityType> | undefined = activityType && Arr.ensure(activityType)
          const activities: Array<Activity> = []
          for (let index: number = after; index < Math.min(upTo, store.events.length); index++) {
            if (activities.length >= limit) break
            const activity = activityOf(store.events[index]!)
            if (
              activity !== undefined &&
              (tenant === undefined || activity.tenant === tenant) &&
              (types === undefined || types.includes(activity.activityType)) &&
              (resourceId === undefined || activity.resourceId === resourceId)
            ) activities.push(activity)
          }
          return activities
        })
    })
  })
)

/** Decides the commands and stores the result. `Turns` ensures that no other write happens meanwhile. */
function* write(store: typeof Store.Service, { commands }: Submission): Steps<Outcome> {
  return Either.map(yield* decideInSteps(store.state, commands), (batch) => record(store, batch))
}

/** Writes the first submission with an idempotency key. Later submissions with the key return its outcome. */
function* writeOnce(
  store: typeof Store.Service,
  submission: Submission
): Steps<Either.Either<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict>> {
  const { commands: [[, { now }]], idempotencyKey } = submission
  if (idempotencyKey === undefined) return yield* write(store, submission)
  const isOver = ({ until }: KeptUntil) => DateTime.lessThanOrEqualTo(until, now)
  for (const [slot, kept] of store.keys) {
    if (!isOver(kept)) break
    store.keys.delete(slot)
  }
  const identity = Redacted.value(identityOf(submission))
  const slots = Arr.map(scopesOf(store.state, submission), (scope) => `${scope} ${idempotencyKey}`)
  const kept = slots.flatMap((slot) => store.keys.get(slot) ?? []).filter((kept) => !isOver(kept))
  const recalled = recall(kept, identity, idempotencyKey)
  if (recalled !== undefined) return recalled
  const outcome = yield* write(store, submission)
  // An expired entry is deleted first, so that the new one is inserted at the end and `keys` stays ordered.
  store.keys.delete(slots[0])
  store.keys.set(slots[0], { identity, outcome, until: DateTime.addDuration(now, defaultIdempotencyKeysKept) })
  return outcome
}

/** Like `writeOnce`, and also returns the clock jumps in the events written. */
function* writeWatched(store: typeof Store.Service, submission: Submission) {
  const before = store.events.length
  return Either.map(yield* writeOnce(store, submission), (events) => ({
    events,
    jumps: clockJumps(
      store.events.slice(before),
      store.events[before - 1]?.createdAt.epochMillis ?? -Infinity,
      defaultClockTolerance
    )
  }))
}

/** Longer lists of commands are decided in steps. */
const longList = 256

const layerCommand = Layer.effect(
  Command,
  Effect.gen(function*() {
    const store = yield* Store
    const tail = yield* Tail.Tail
    const report = makeClockReport()
    const turns = new Turns()
    return Command.make({
      notify: yield* ActivityPubSub,
      limits: yield* InputLimits,
      append: (submission) =>
        Effect.flatMap(
          turns.take(submission.commands.length > longList, () => writeWatched(store, submission)),
          ({ events, jumps }) => jumps.length === 0 ? Effect.succeed(events) : Effect.as(report(jumps), events)
        ).pipe(
          Effect.tap(tail.broadcast),
          Effect.uninterruptible
        )
    })
  })
)

/** Memory keeps no bytes of deleted secrets and encrypts nothing, so there is nothing to purge or to rotate. */
const layerSecrets = Layer.effect(
  Secrets,
  Effect.map(Command, (command) => Secrets.make({ command, purge: Effect.void, rotate: () => Effect.succeed(0) }))
)

type Services =
  | Command
  | Query
  | Journal
  | History
  | Secrets
  | ActivityPubSub
  | ActivityFeed
  | Consumer.Consumer
  | ConsumerStore.ConsumerStore

const servicesOver = (store: Layer.Layer<Store>): Layer.Layer<Services> =>
  Layer.mergeAll(layerSecrets, Consumer.layerService, History.layer).pipe(
    Layer.provideMerge(layerCommand),
    Layer.provideMerge(Layer.merge(InProcess.layer, MemoryConsumerStore.layer)),
    Layer.provideMerge(Layer.merge(MemoryJournal.layer, layerQuery)),
    Layer.provide(store),
    // Nothing is read from outside, so building the layer cannot fail.
    Layer.orDie
  )

/**
 * The services of Caravel in memory.
 *
 * @example
 * ```ts
 * import { Command, Query } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const command = yield* Command
 *   const query = yield* Query
 *   yield* command.createTenant({ pubkey: "ab".repeat(32) })
 *   return yield* query.tenants
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Memory.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Services> = servicesOver(layerStore)

/**
 * The services of Caravel in memory, starting with a journal, or with tenants and relays.
 *
 * - `events` become the journal, with positions from 1. Create them with `journalOf` of `@caravel/testing`, or read all
 *   events or a tenant's from another `Journal`. `secrets` are the wallet URLs that the events refer to; without them,
 *   tenants have none, and `Journal.verify` reports them as lost.
 * - `tenants` and `relays` are recorded as imported: the journal has one `TenantImported` or `RelayImported` for each,
 *   so their versions are 1. Building the layer dies if a relay's tenant is missing or a key or subdomain occurs twice.
 *
 * @example
 * ```ts
 * import { Command } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { event, journalOf, relay, tenant } from "@caravel/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.flatMap(Command, (command) => command.deactivateRelay({ id: "main" }))
 *
 * const journal = journalOf(event("TenantCreated"), event("RelayCreated"))
 * await Effect.runPromise(Effect.provide(program, Memory.layerWith(journal)))
 *
 * const rows = { tenants: [tenant()], relays: [relay({ plan: "growth" })] }
 * await Effect.runPromise(Effect.provide(program, Memory.layerWith(rows)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (given: GivenJournal | GivenRows): Layer.Layer<Services> =>
  servicesOver(layerStoreWith(() => batchOf(given)))

export type {
  /**
   * A journal, and the secrets that its events refer to.
   *
   * @since 0.1.0
   * @category models
   */
  GivenJournal,
  /**
   * Tenants and relays.
   *
   * @since 0.1.0
   * @category models
   */
  GivenRows
} from "./internal/Given.js"
