/**
 * `caravel activity`, `caravel tenant` and `caravel relay`: activities, tenants and relays, as tables or as JSON lines.
 */
import {
  type Activity,
  ActivityFeed,
  EpochStart,
  Journal,
  type Metadata,
  Query,
  type Relay,
  type Tenant
} from "@caravel/domain"
import { checkPosition } from "@caravel/domain/adapter"
import { Chunk, DateTime, Effect, Option, Schema, Stream } from "effect"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"

/**
 * Which activities to show.
 *
 * @since 0.1.0
 * @category models
 */
export interface ActivityOptions {
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

/** Activities with the metadata of their events. */
const withMetadata = (journal: typeof Journal.Service) => (activities: Chunk.Chunk<Activity>) =>
  Effect.map(journal.at([...Chunk.map(activities, ({ position }) => position)]), (events) => {
    const metadata = new Map(events.map((event) => [event.position, event.metadata]))
    return Chunk.map(activities, (activity) => [activity, metadata.get(activity.position) ?? {}] as const)
  })

/**
 * Shows the activity log with the events' metadata, oldest first.
 *
 * @since 0.1.0
 * @category commands
 */
export const activity = Effect.fn("Read.activity")(function*(options: ActivityOptions) {
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

const showAll = Effect.fnUntraced(function*<A>(resources: ReadonlyArray<A>, options: {
  readonly json: boolean
  readonly none: string
  readonly toJson: (resource: A) => unknown
  readonly toTable: (resources: ReadonlyArray<A>, output: typeof Output.Service) => ReadonlyArray<string>
}) {
  const output = yield* Output
  if (!output.isTerminal || options.json) {
    return yield* Effect.forEach(resources, (resource) => output.print(JSON.stringify(options.toJson(resource))), {
      discard: true
    })
  }
  if (resources.length === 0) return yield* output.note(options.none)
  yield* Effect.forEach(options.toTable(resources, output), output.print, { discard: true })
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

/**
 * Shows one tenant, or all.
 *
 * @since 0.1.0
 * @category commands
 */
export const tenant = Effect.fn("Read.tenant")(
  function*(options: { readonly pubkey: Option.Option<string>; readonly json: boolean }) {
    const { json } = options
    const query = yield* Query
    if (Option.isSome(options.pubkey)) {
      const found = yield* query.tenant(options.pubkey.value)
      const missing = `Tenant ${options.pubkey.value} does not exist`
      return yield* showOne(found, { json, missing, toJson: Render.tenantJson })
    }
    yield* showAll(yield* query.tenants, {
      json,
      none: "No tenants yet; create one with caravel create-tenant",
      toJson: Render.tenantJson,
      toTable: Render.tenantTable
    })
  }
)

/**
 * Shows one relay, by its id or subdomain, or all relays, or those of a tenant.
 *
 * @since 0.1.0
 * @category commands
 */
export const relay = Effect.fn("Read.relay")(
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
    yield* showAll(yield* (Option.isSome(tenant) ? query.relaysOf(tenant.value) : query.relays), {
      json,
      none: Option.isSome(tenant) ? "This tenant has no relays" : "No relays yet; create one with caravel create-relay",
      toJson: Render.relayJson,
      toTable: Render.relayTable
    })
  }
)

const epochJson = Schema.encodeSync(EpochStart)

/**
 * Shows the journal's epochs.
 *
 * @since 0.1.0
 * @category commands
 */
export const epochs = Effect.fn("Read.epochs")(
  function*({ json }: { readonly json: boolean }) {
    yield* showAll(yield* Effect.flatMap(Journal, (journal) => journal.epochs), {
      json,
      none: "",
      toJson: epochJson,
      toTable: (starts, output) =>
        Layout.table(
          ["epoch", "begins after", "at"],
          starts.map(({ epoch, position, startedAt }) => [epoch, String(position), DateTime.formatIso(startedAt)]),
          output
        )
    })
  }
)
