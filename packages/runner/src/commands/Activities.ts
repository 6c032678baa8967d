/** `caravel activity`: the activity log with the events' metadata. */
import {
  type Activity,
  ActivityFeed,
  ActivityType,
  Journal,
  type Metadata,
  type Position,
  Query
} from "@caravel/domain"
import { checkPosition } from "@caravel/domain/adapter"
import * as Options from "@effect/cli/Options"
import { Chunk, Effect, Option, Predicate, Stream } from "effect"
import { format, formatted } from "../cli/Format.js"
import { onPlace, place } from "../cli/Place.js"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

/** Which activities to show. */
interface ActivityOptions {
  readonly since: Option.Option<Values.Moment>
  readonly until: Option.Option<Values.Moment>
  /** The epoch of the position `since`. */
  readonly epoch: Option.Option<string>
  readonly tenant: Option.Option<string>
  readonly relay: Option.Option<string>
  readonly types: ReadonlyArray<ActivityType>
  readonly actor: Option.Option<string>
  readonly limit: Option.Option<number>
  readonly last: Option.Option<number>
  /** Whether to continue with new activities. */
  readonly follow: boolean
}

const pageSize = 500

/** The existing activities after a position and up to another, page by page. */
const past = (query: typeof Query.Service, { relay, tenant, types }: ActivityOptions, after: number, upTo?: number) =>
  Stream.paginateChunkEffect(
    after,
    (after) =>
      query.activity({
        after,
        upTo,
        limit: pageSize,
        tenant: Option.getOrUndefined(tenant),
        resourceId: Option.getOrUndefined(relay),
        activityType: types.length === 0 ? undefined : types
      }).pipe(
        Effect.map((page) => [
          Chunk.unsafeFromArray(page),
          page.length === pageSize ? Option.fromNullable(page[page.length - 1]?.position) : Option.none()
        ])
      )
  )

/** The existing activities and new ones, whichever process writes them. */
const endless = (feed: typeof ActivityFeed.Service, { epoch, relay, tenant, types }: ActivityOptions, after: number) =>
  Stream.filter(
    feed.since(after, { epoch: Option.getOrUndefined(epoch) }),
    (activity) =>
      (Option.isNone(tenant) || activity.tenant === tenant.value) &&
      (Option.isNone(relay) || activity.resourceId === relay.value) &&
      (types.length === 0 || types.includes(activity.activityType))
  )

/**
 * The events at positions. A tenant may not read them at a host, as their metadata names operators: it sees none, and
 * cannot select by it.
 */
const eventsAt = (
  journal: typeof Journal.Service,
  positions: ReadonlyArray<Position>,
  actor: Option.Option<string>
) =>
  Effect.catchIf(
    journal.at(positions),
    ({ cause }) => Option.isNone(actor) && Predicate.isTagged(cause, "Forbidden"),
    () => Effect.succeed([])
  )

/** Activities with the metadata of their events, only those of the actor. */
const withMetadata =
  (journal: typeof Journal.Service, actor: Option.Option<string>) =>
  <E, R>(activities: Stream.Stream<Activity, E, R>) =>
    activities.pipe(
      Stream.mapChunksEffect((activities) =>
        Effect.map(eventsAt(journal, [...Chunk.map(activities, ({ position }) => position)], actor), (events) => {
          const metadata = new Map(events.map((event) => [event.position, event.metadata]))
          return Chunk.map(
            activities,
            (activity): readonly [Activity, Metadata] => [activity, metadata.get(activity.position) ?? {}]
          )
        })
      ),
      Stream.filter(([, metadata]) => Option.isNone(actor) || metadata.actor === actor.value)
    )

/**
 * The position before the last `count` activities. They are looked for from the end, in parts of the journal of which
 * each is four times as long as the one after it.
 */
const beforeLast = Effect.fnUntraced(function*<E>(
  read: (after: number, upTo: number) => Stream.Stream<readonly [Activity, Metadata], E>,
  range: { readonly after: number; readonly upTo: number },
  count: number
) {
  let found: ReadonlyArray<number> = []
  let { upTo } = range
  for (let length = Math.max(count, pageSize); found.length < count && upTo > range.after; length *= 4) {
    const after = Math.max(range.after, upTo - length)
    const part = yield* Stream.runCollect(Stream.map(read(after, upTo), ([{ position }]): number => position))
    found = [...part, ...found]
    upTo = after
  }
  const first = found[found.length - count]
  return first === undefined ? range.after : first - 1
})

/** The position that a moment names. For an instant it is the last one up to it. */
const positionOf = Effect.fnUntraced(
  function*(journal: typeof Journal.Service, { at }: Values.Moment, epoch: string | null) {
    if (typeof at === "number") return yield* checkPosition(journal, at, epoch)
    if (epoch !== null) return yield* new Failed({ message: "--epoch belongs to a position; give --since a number" })
    return yield* at === "now" ? journal.head : journal.positionAt(at(yield* Values.here))
  }
)

/** What the options contradict. */
const contradiction = ({ follow, last, limit, until }: ActivityOptions) =>
  Option.isSome(last) && Option.isSome(limit)
    ? "--last shows the newest activities, and --limit the oldest; give one of them"
    : follow && Option.isSome(until)
    ? "--follow never ends; leave out --until"
    : undefined

const beginning: Values.Moment = { text: "0", at: 0 }

/** Shows the activity log with the events' metadata, oldest first. */
const activity = Effect.fn("Read.activity")(function*(options: ActivityOptions) {
  const contradicts = contradiction(options)
  if (contradicts !== undefined) return yield* new Failed({ message: contradicts })
  const output = yield* Output
  const asTable = output.isTerminal
  const line = (activity: Activity, metadata: Metadata) =>
    asTable
      ? Render.activityLine(activity, output.style, metadata)
      : JSON.stringify({ ...Render.activityJson(activity), metadata })
  const journal = yield* Journal
  const query = yield* Query
  const since = Option.getOrElse(options.since, () => beginning)
  const start = yield* positionOf(journal, since, Option.getOrNull(options.epoch))
  const upTo = yield* Effect.transposeMapOption(options.until, (until) => positionOf(journal, until, null))
  const selected = (after: number, upTo?: number) =>
    past(query, options, after, upTo).pipe(withMetadata(journal, options.actor))
  const after = Option.isNone(options.last) ? start : yield* beforeLast(
    selected,
    { after: start, upTo: Option.isSome(upTo) ? upTo.value : yield* journal.head },
    options.last.value
  )
  if (asTable) yield* output.print(Render.activityTitles(output.style))
  const all = options.follow
    ? endless(yield* ActivityFeed, options, after).pipe(withMetadata(journal, options.actor))
    : selected(after, Option.getOrUndefined(upTo))
  const count = yield* Option.match(options.limit, {
    onNone: () => all,
    onSome: (limit) => Stream.take(all, limit)
  }).pipe(
    Stream.tap(([activity, metadata]) => output.print(line(activity, metadata))),
    Stream.runCount
  )
  if (asTable && count === 0) yield* output.note("No activity")
})

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "activity",
    help: "Shows the activity log, oldest first.",
    options: {
      since: Values.option("since", Values.moment).pipe(
        Options.withPseudoName("moment"),
        Options.optional,
        Options.withDescription(
          "Only activities after this position or instant, such as 2026-11-01, \"2026-11-01 12:00\", 7d, 1h or yesterday."
        )
      ),
      until: Values.option("until", Values.moment).pipe(
        Options.withPseudoName("moment"),
        Options.optional,
        Options.withDescription("Only activities up to this position or instant.")
      ),
      epoch: Options.text("epoch").pipe(
        Options.optional,
        Options.withDescription(
          "The epoch of that position, as caravel epochs shows it; fails if the database was restored since."
        )
      ),
      tenant: Values.option("tenant", Values.pubkey).pipe(
        Options.withPseudoName("pubkey"),
        Options.optional,
        Options.withDescription("Only this tenant's; hex or npub1….")
      ),
      relay: Values.option("relay", Values.relayId).pipe(
        Options.withPseudoName("id"),
        Options.optional,
        Options.withDescription("Only activities of this relay.")
      ),
      types: Values.options("type", Values.oneOf(...ActivityType.literals), "type").pipe(
        Options.withDescription("Only activities of this type, such as create_relay; may be repeated.")
      ),
      actor: Options.text("actor").pipe(
        Options.withPseudoName("name"),
        Options.optional,
        Options.withDescription("Only activities of this actor.")
      ),
      last: Values.option("last", Values.integer(1)).pipe(
        Options.withPseudoName("count"),
        Options.optional,
        Options.withDescription("Only the last activities, at most this number.")
      ),
      limit: Values.option("limit", Values.integer(1)).pipe(
        Options.withPseudoName("count"),
        Options.optional,
        Options.withDescription("The maximum number of activities to print.")
      ),
      follow: Options.boolean("follow").pipe(
        Options.withAlias("f"),
        Options.withDescription("Waits for further activities, whichever process writes them; Ctrl-C ends the command.")
      ),
      format,
      place
    },
    execute: onPlace(formatted(activity))
  })
]
