/** Helpers of all suites: fixtures, and observations of the services. */
import {
  type Activity,
  type ActivityFeed,
  ActivityPubSub,
  Command,
  type History,
  type IdempotencyConflict,
  Journal,
  Position,
  Query,
  type RecordedEvent,
  type Refusal,
  type Relay,
  type RelayOptions,
  type Secrets,
  type StorageError,
  type Tenant
} from "@caravel/domain"
import type { Consumer, ConsumerStore } from "@caravel/pubsub"
import { it } from "@effect/vitest"
import { type Brand, Clock, DateTime, Effect, type Layer, type ParseResult, Redacted, type Scope } from "effect"

/** The services that an adapter provides. */
export type Services =
  | Command
  | Query
  | Journal
  | History
  | Secrets
  | ActivityPubSub
  | ActivityFeed
  | Consumer.Consumer
  | ConsumerStore.ConsumerStore

/** Runs each test on a fresh layer, with the live clock, as adapters wait in real time while a database is busy. */
export const specs =
  <E, R = never>(layer: Layer.Layer<Services | R, E>) =>
  <A, E2>(name: string, body: Effect.Effect<A, E2, Services | R | Scope.Scope>, timeout = 60_000) =>
    it.live(name, () => body.pipe(Effect.scoped, Effect.provide(layer)), timeout)

export const pubkey = (n: number) => n.toString(16).padStart(64, "0")
export const alice = pubkey(0xa11ce)
export const bob = pubkey(0xb0b)
export const nobody = pubkey(0)
export const aliceUrl = "nostr+walletconnect://alice?secret=ALICE-SECRET"
export const bobUrl = "nostr+walletconnect://bob?secret=BOB-SECRET"

/** A value for each of a relay's options. The compiler reports an option that is missing. */
export type Options = { readonly [Name in keyof RelayOptions]: unknown }

export const optionDefaults = {
  plan: "free",
  infoName: "",
  infoIcon: "",
  infoDescription: "",
  policyPublicJoin: false,
  policyStripSignatures: false,
  groupsEnabled: false,
  managementEnabled: false,
  blossomEnabled: false,
  livekitEnabled: false,
  pushEnabled: false
} satisfies Options

export const relayDefaults = {
  ...optionDefaults,
  status: "active" as const,
  synced: false,
  syncError: "",
  stripeSubscriptionItemId: null
}

export const tenantDefaults = {
  nwcUrl: null,
  nwcError: null,
  stripeCustomerId: null,
  stripeSubscriptionId: null,
  pastDueAt: null
}

/** The names of the seventeen methods. */
export type MethodName = Exclude<keyof typeof Command.Service, "submit" | "notify">

/** A method that is called with any arguments, as from plain JavaScript. */
type Method = (
  ...args: ReadonlyArray<unknown>
) => Answer

/** The result of any command. */
type Answer = Effect.Effect<
  Activity | void,
  Refusal | IdempotencyConflict | StorageError | ParseResult.ParseError
>

/** Calls one of the seventeen methods. */
export const invoke = (method: MethodName, args: ReadonlyArray<unknown>) =>
  Effect.flatMap(
    Command,
    (command) => (command as unknown as { readonly [Name in MethodName]: Method })[method](...args)
  )

/** Runs an effect at an instant. The clock stands still, but sleeping takes real time. */
export const at = (iso: string) => atMillis(Date.parse(iso))

/** Like `at`, with any number of milliseconds, even an invalid one. */
export const atMillis = (millis: number) => {
  const nanos = Number.isFinite(millis) ? BigInt(Math.floor(millis)) * 1_000_000n : 0n
  const clock: Clock.Clock = Object.assign(Clock.make(), {
    currentTimeMillis: Effect.succeed(millis),
    currentTimeNanos: Effect.succeed(nanos),
    unsafeCurrentTimeMillis: () => millis,
    unsafeCurrentTimeNanos: () => nanos
  })
  return Effect.withClock(clock)
}

/** The nth day, for `at`. */
export const day = (n: number) => DateTime.formatIso(DateTime.unsafeMake(Date.UTC(2026, 0, 1 + n)))

/** A value converted to JSON and back: instants are text, secrets are redacted. */
export const plain = <A>(value: A): Plain<A> => JSON.parse(JSON.stringify(value) ?? "null") ?? undefined

/** A value as it is after a conversion to JSON and back. */
export type Plain<A> = unknown extends A ? unknown
  : A extends string ? (A extends Brand.Brand<string | symbol> ? string : A)
  : A extends number ? number
  : A extends DateTime.DateTime | Redacted.Redacted<unknown> ? string
  : A extends ReadonlyArray<infer Item> ? ReadonlyArray<Plain<Item>>
  : { [Name in keyof A as A[Name] extends (...args: never) => unknown ? never : Name]: Plain<A[Name]> }

/** A tenant's row with its secret in clear. */
export const plainTenant = (tenant: Tenant): Plain<Tenant> => ({
  ...plain(tenant),
  nwcUrl: tenant.nwcUrl === null ? null : Redacted.value(tenant.nwcUrl)
})

export const plainRelay = (relay: Relay): Plain<Relay> => plain(relay)

const pages = (after: Position): Effect.Effect<Array<RecordedEvent>, StorageError, Journal> =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const events: Array<RecordedEvent> = []
    for (let position = after;;) {
      const page = yield* journal.read(position, 1000)
      for (const event of page) events.push(event)
      if (page.length < 1000) return events
      position = page[page.length - 1]!.position
    }
  })

/** The events after a position; by default, all of them. */
export const journalAfter = (after = 0) => pages(Position.make(after))

/** Everything that is visible through the services, in plain values. */
export const observe = Effect.gen(function*() {
  const query = yield* Query
  return {
    tenants: (yield* query.tenants).map(plainTenant),
    relays: (yield* query.relays).map(plainRelay),
    events: plain(yield* journalAfter()),
    activities: plain(yield* query.activity())
  }
})

/**
 * Creates a tenant with all fields set and a delinquent relay of this tenant that failed to sync. Both are at version
 * 4.
 */
export const furnished = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: alice, nwcUrl: aliceUrl, stripeCustomerId: "cus_alice" })
  yield* command.setTenantSubscription(alice, "sub_alice")
  yield* command.setTenantNwcError(alice, "no route")
  yield* command.setTenantPastDue(alice)
  yield* command.createRelay({ id: "relay-1", tenant: alice, subdomain: "one", plan: "growth", infoName: "One" })
  yield* command.setRelaySubscriptionItem("relay-1", "si_1")
  yield* command.failRelaySync({ id: "relay-1" }, "no quota")
  yield* command.markRelayDelinquent({ id: "relay-1" })
}).pipe(at("2026-01-01T00:00:00.000Z"))

/** The refusals of the calls. */
export const refusalsOf = (calls: ReadonlyArray<Answer>) => Effect.forEach(calls, (call) => Effect.flip(call))

/** Runs an effect that should change nothing. Returns what is visible before and after, and what was broadcast. */
export const unchangedBy = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const before = yield* observe
    const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
    const result = yield* effect
    return { result, before, after: yield* observe, broadcast: [...yield* queue.takeAll] }
  })
