/**
 * `caravel activity`, `caravel tenant` and `caravel relay`: activities, tenants and relays, as tables or as JSON lines.
 */
import {
  type Activity,
  ActivityFeed,
  Journal,
  type Metadata,
  type Position,
  Query,
  type Relay,
  type Tenant
} from "@caravel/domain"
import { checkPosition } from "@caravel/domain/adapter"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { Chunk, Effect, Option, Predicate, Stream } from "effect"
import { json } from "../cli/Arguments.js"
import { onPlace, place } from "../cli/Place.js"
import * as Values from "../cli/Values.js"
import * as Listing from "../terminal/Listing.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

/** Which activities to show. */
interface ActivityOptions {
  readonly since: number
  /** The epoch of the position. */
  readonly epoch: Option.Option<string>
  readonly tenant: Option.Option<string>
  readonly limit: Option.Option<number>
  /** Whether to continue with new activities. */
  readonly follow: boolean
  readonly json: boolean
}

const pageSize = 500

/** The existing activities, page by page. */
const past = (query: typeof Query.Service, { since, tenant }: ActivityOptions) =>
  Stream.paginateChunkEffect(
    since,
    (after) =>
      query.activity({ after, limit: pageSize, tenant: Option.getOrUndefined(tenant) }).pipe(
        Effect.map((page) => [
          Chunk.unsafeFromArray(page),
          page.length === pageSize ? Option.fromNullable(page[page.length - 1]?.position) : Option.none()
        ])
      )
  )

/** The existing activities and new ones, whichever process writes them. */
const endless = (feed: typeof ActivityFeed.Service, { epoch, since, tenant }: ActivityOptions) =>
  Stream.filter(
    feed.since(since, { epoch: Option.getOrUndefined(epoch) }),
    (activity) => Option.isNone(tenant) || activity.tenant === tenant.value
  )

/** The events at positions. A tenant may not read them at a host, as their metadata names operators. */
const eventsAt = (journal: typeof Journal.Service, positions: ReadonlyArray<Position>) =>
  Effect.catchIf(
    journal.at(positions),
    ({ cause }) => Predicate.isTagged(cause, "Forbidden"),
    () => Effect.succeed([])
  )

/** Activities with the metadata of their events. */
const withMetadata = (journal: typeof Journal.Service) => (activities: Chunk.Chunk<Activity>) =>
  Effect.map(eventsAt(journal, [...Chunk.map(activities, ({ position }) => position)]), (events) => {
    const metadata = new Map(events.map((event) => [event.position, event.metadata]))
    return Chunk.map(activities, (activity) => [activity, metadata.get(activity.position) ?? {}] as const)
  })

/** Shows the activity log with the events' metadata, oldest first. */
const activity = Effect.fn("Read.activity")(function*(options: ActivityOptions) {
  const output = yield* Output
  const asTable = output.isTerminal && !options.json
  const line = (activity: Activity, metadata: Metadata) =>
    asTable
      ? Render.activityLine(activity, output.style, metadata)
      : JSON.stringify({ ...Render.activityJson(activity), metadata })
  const journal = yield* Journal
  yield* checkPosition(journal, options.since, Option.getOrNull(options.epoch))
  if (asTable) yield* output.print(Render.activityTitles(output.style))
  const all = options.follow ? endless(yield* ActivityFeed, options) : past(yield* Query, options)
  const count = yield* Option.match(options.limit, {
    onNone: () => all,
    onSome: (limit) => Stream.take(all, limit)
  }).pipe(
    Stream.mapChunksEffect(withMetadata(journal)),
    Stream.tap(([activity, metadata]) => output.print(line(activity, metadata))),
    Stream.runCount
  )
  if (asTable && count === 0) yield* output.note("No activity yet")
})

const showOne = Effect.fnUntraced(function*<A extends Tenant | Relay>(found: Option.Option<A>, options: {
  readonly json: boolean
  readonly missing: string
  readonly toJson: (resource: A) => unknown
}) {
  if (Option.isNone(found)) return yield* new Failed({ message: options.missing })
  const output = yield* Output
  const lines = output.isTerminal && !options.json
    ? Render.details(found.value, output.style)
    : [JSON.stringify(options.toJson(found.value))]
  yield* Effect.forEach(lines, output.print, { discard: true })
})

/** Shows one tenant, or all. */
const tenant = Effect.fn("Read.tenant")(
  function*(options: { readonly pubkey: Option.Option<string>; readonly json: boolean }) {
    const { json } = options
    const query = yield* Query
    if (Option.isSome(options.pubkey)) {
      const found = yield* query.tenant(options.pubkey.value)
      const missing = `Tenant ${options.pubkey.value} does not exist`
      return yield* showOne(found, { json, missing, toJson: Render.tenantJson })
    }
    yield* Listing.show(yield* query.tenants, {
      json,
      none: "No tenants yet; create one with caravel create-tenant",
      toJson: Render.tenantJson,
      toTable: Render.tenantTable
    })
  }
)

/** Shows one relay, by its id or subdomain, or all relays, or those of a tenant. */
const relay = Effect.fn("Read.relay")(
  function*(options: {
    readonly id: Option.Option<string>
    readonly subdomain: Option.Option<string>
    readonly tenant: Option.Option<string>
    readonly json: boolean
  }) {
    const { id, json, subdomain, tenant } = options
    if ([id, subdomain, tenant].filter(Option.isSome).length > 1) {
      return yield* new Failed({ message: "Give an id, --subdomain or --tenant, not several of them" })
    }
    const query = yield* Query
    if (Option.isSome(id)) {
      const found = yield* query.relay(id.value)
      return yield* showOne(found, { json, missing: `Relay ${id.value} does not exist`, toJson: Render.relayJson })
    }
    if (Option.isSome(subdomain)) {
      const found = yield* query.relayBySubdomain(subdomain.value)
      const missing = `No relay has the subdomain ${subdomain.value}`
      return yield* showOne(found, { json, missing, toJson: Render.relayJson })
    }
    yield* Listing.show(yield* (Option.isSome(tenant) ? query.relaysOf(tenant.value) : query.relays), {
      json,
      none: Option.isSome(tenant) ? "This tenant has no relays" : "No relays yet; create one with caravel create-relay",
      toJson: Render.relayJson,
      toTable: Render.relayTable
    })
  }
)

const tenantFilter = Values.option("tenant", Values.pubkey).pipe(
  Options.withPseudoName("pubkey"),
  Options.optional,
  Options.withDescription("Only this tenant's; hex or npub1….")
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "activity",
    help: "Shows the activity log, oldest first.",
    options: {
      since: Values.option("since", Values.integer(0)).pipe(
        Options.withPseudoName("position"),
        Options.withDefault(0),
        Options.withDescription("Only activities after this position.")
      ),
      epoch: Options.text("epoch").pipe(
        Options.optional,
        Options.withDescription(
          "The epoch of that position, as caravel epochs shows it; fails if the database was restored since."
        )
      ),
      tenant: tenantFilter,
      limit: Values.option("limit", Values.integer(0)).pipe(
        Options.withPseudoName("count"),
        Options.optional,
        Options.withDescription("The maximum number of activities to print.")
      ),
      follow: Options.boolean("follow").pipe(
        Options.withAlias("f"),
        Options.withDescription("Waits for further activities, whichever process writes them; Ctrl-C ends the command.")
      ),
      json,
      place
    },
    execute: onPlace(activity)
  }),
  Subcommand.make({
    name: "tenant",
    help: "Shows tenants, or one with all its fields. Wallet URLs are never shown.",
    options: {
      pubkey: Values.argument("PUBKEY", Values.pubkey).pipe(
        Args.withDescription("The tenant's public key, as hex or npub1…; all tenants if omitted."),
        Args.optional
      ),
      json,
      place
    },
    execute: onPlace(tenant)
  }),
  Subcommand.make({
    name: "relay",
    help: "Shows relays, or one with all its fields.",
    options: {
      id: Values.argument("ID", Values.relayId).pipe(
        Args.withDescription("The relay's id; all relays if omitted."),
        Args.optional
      ),
      subdomain: Options.text("subdomain").pipe(
        Options.optional,
        Options.withDescription("Only the relay with this subdomain.")
      ),
      tenant: tenantFilter,
      json,
      place
    },
    execute: onPlace(relay)
  })
]
