/** `caravel history`, `caravel diff` and `caravel usage`: the past, as tables or as JSON lines. */
import {
  History,
  HistoryOptions,
  Journal,
  Query,
  Relay,
  type Resource,
  type StorageError,
  Tenant,
  type TenantState
} from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { DateTime, Effect, Either, Option, Redacted, Schema, Stream } from "effect"
import { format, formatted } from "../cli/Format.js"
import { onPlace, place } from "../cli/Place.js"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as RenderPast from "../terminal/RenderPast.js"
import * as Subcommand from "./Subcommand.js"

const decodePage = Schema.decode(HistoryOptions)

/** `now` means the head. */
const momentOf = ({ at }: Values.Moment): Effect.Effect<number | DateTime.Utc, StorageError, Journal | Output> =>
  at === "now"
    ? Effect.flatMap(Journal, ({ head }) => head)
    : typeof at === "number"
    ? Effect.succeed(at)
    : Effect.map(Values.here, at)

const resourceOf = (
  resourceType: "relay" | "tenant",
  id: string
): Either.Either<typeof Resource.Encoded, Failed> =>
  Either.mapBoth((resourceType === "relay" ? Values.relayId : Values.pubkey)(id), {
    onLeft: (why) => new Failed({ message: `ID: ${why}` }),
    onRight: (resourceId) => ({ resourceType, resourceId })
  })

const nameOf = ({ resourceId, resourceType }: typeof Resource.Encoded) =>
  `${resourceType === "relay" ? "Relay" : "Tenant"} ${resourceId}`

/** The event that created a resource. Fails if the resource never existed. */
const creationOf = (resource: typeof Resource.Encoded) =>
  Effect.gen(function*() {
    const history = yield* History
    const first = yield* Stream.runHead(history.events(resource, { limit: 1 }))
    if (Option.isNone(first)) return yield* new Failed({ message: `${nameOf(resource)} does not exist` })
    return first.value.event
  })

// History knows only that there was a wallet URL.
const someUrl = Redacted.make("nostr+walletconnect://redacted")

const { secret } = resources.tenant

const tenantOf = (state: TenantState) => Tenant.trusted({ ...state, [secret]: state[secret] === null ? null : someUrl })

const showThen = Effect.fnUntraced(
  function*(resource: typeof Resource.Encoded, moment: Values.Moment, asTable: boolean) {
    const output = yield* Output
    const history = yield* History
    const created = yield* creationOf(resource)
    const at = yield* history.position(yield* momentOf(moment))
    const found: Option.Option<Tenant | Relay> = resource.resourceType === "relay"
      ? Option.map(yield* history.relay(resource.resourceId, at), (relay) => Relay.trusted(relay))
      : Option.map(yield* history.tenant(resource.resourceId, at), tenantOf)
    if (Option.isNone(found)) {
      const creation = `it was created at position ${created.position}, ${
        Render.time(created.createdAt, output.style)
      } (${DateTime.zoneToString(output.style.zone)})`
      const then = RenderPast.moment(moment.text, at)
      return yield* new Failed({ message: `${nameOf(resource)} did not exist at ${then}; ${creation}` })
    }
    if (!asTable) {
      const { value } = found
      return yield* output.print(
        JSON.stringify(value instanceof Tenant ? Render.tenantJson(value) : Render.relayJson(value))
      )
    }
    yield* output.print(output.style.dim(`As of ${RenderPast.moment(moment.text, at)}`))
    yield* Effect.forEach(Render.details(found.value, output.style), output.print, { discard: true })
  }
)

/** Shows what happened to a resource, or its state at a moment. */
const history = Effect.fn("Past.history")(function*(options: {
  readonly type: "relay" | "tenant"
  readonly id: string
  readonly at: Option.Option<Values.Moment>
  readonly newestFirst: boolean
  readonly limit: Option.Option<number>
}) {
  const { at, limit, newestFirst } = options
  const output = yield* Output
  const asTable = output.isTerminal
  const resource = yield* resourceOf(options.type, options.id)
  if (Option.isSome(at)) {
    if (newestFirst || Option.isSome(limit)) {
      return yield* new Failed({ message: "--at shows one state; --newest-first and --limit are for a list of events" })
    }
    return yield* showThen(resource, at.value, asTable)
  }
  const page = yield* decodePage({ order: newestFirst ? "newest" : "oldest", limit: Option.getOrUndefined(limit) })
  yield* creationOf(resource)
  const history = yield* History
  if (asTable) yield* output.print(RenderPast.entryTitles(output.style))
  yield* history.events(resource, page).pipe(
    Stream.mapConcat((entry) =>
      asTable ? RenderPast.entryLines(entry, output) : [JSON.stringify(RenderPast.entryJson(entry))]
    ),
    Stream.runForEach(output.print)
  )
})

/** Shows the differences between two moments, of everything or of one resource. */
const diff = Effect.fn("Past.diff")(function*(options: {
  readonly from: Values.Moment
  readonly to: Values.Moment
  readonly type: Option.Option<"relay" | "tenant">
  readonly id: Option.Option<string>
}) {
  const output = yield* Output
  const history = yield* History
  if (Option.isSome(options.type) && Option.isNone(options.id)) {
    return yield* new Failed({ message: `Give an id with ${options.type.value}, or neither; see --help` })
  }
  const resource = yield* Effect.transposeOption(Option.zipWith(options.type, options.id, resourceOf))
  if (Option.isSome(resource)) yield* creationOf(resource.value)
  const from = yield* history.position(yield* momentOf(options.from))
  const to = yield* history.position(yield* momentOf(options.to))
  const differences = yield* history.diff(from, to, Option.getOrUndefined(resource))
  if (!output.isTerminal) {
    return yield* Effect.forEach(
      differences,
      (difference) => output.print(JSON.stringify(RenderPast.differenceJson(difference))),
      { discard: true }
    )
  }
  const between = `From ${RenderPast.moment(options.from.text, from)} to ${RenderPast.moment(options.to.text, to)}`
  yield* output.print(output.style.dim(`${between}: ${RenderPast.summary(differences)}`))
  yield* Effect.forEach(
    differences.flatMap((difference) => RenderPast.differenceLines(difference, output)),
    output.print,
    { discard: true }
  )
})

/** Shows when a tenant's relays were active, on which plan, and the total durations. */
const usage = Effect.fn("Past.usage")(function*(options: {
  readonly tenant: string
  readonly from: Option.Option<Values.Instant>
  readonly to: Option.Option<Values.Instant>
}) {
  const output = yield* Output
  const history = yield* History
  // Against a host, a tenant may not read its events.
  const tenant = yield* (yield* Query).tenant(options.tenant)
  if (Option.isNone(tenant)) {
    const name = nameOf({ resourceType: "tenant", resourceId: options.tenant })
    return yield* new Failed({ message: `${name} does not exist` })
  }
  const { createdAt } = tenant.value
  const here = yield* Values.here
  const { now } = here
  const from = Option.match(options.from, { onNone: () => createdAt, onSome: (from) => from(here) })
  const to = Option.match(options.to, { onNone: () => now, onSome: (to) => to(here) })
  const usage = yield* history.usage(options.tenant, from, to)
  if (usage.some(({ to }) => DateTime.greaterThan(to, now))) {
    yield* output.note(
      output.errorStyle.yellow("--to is in the future: relays that are active now count as active until then")
    )
  }
  const totals = RenderPast.totals(usage)
  if (!output.isTerminal) {
    return yield* Effect.forEach(totals, (total) => output.print(JSON.stringify(RenderPast.totalJson(total))), {
      discard: true
    })
  }
  if (usage.length === 0) return yield* output.note("None of this tenant's relays was active then")
  const lines = [
    ...RenderPast.totalTable(totals, output),
    "",
    ...RenderPast.usageTable(usage, output)
  ]
  yield* Effect.forEach(lines, output.print, { discard: true })
})

const moments =
  "a position, an instant such as 2026-11-01T00:00Z or \"2026-11-01 00:00\", a date, 7d, 1h, yesterday or now"

const named = {
  type: Values.argument("relay|tenant", Values.oneOf("relay", "tenant")),
  // The form of the id depends on the type.
  id: Values.argument("ID", Either.right)
}

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "history",
    help: "Shows the events of a relay or a tenant and what each changed, or, with --at, its state at that moment. " +
      "Wallet URLs are never shown.",
    options: {
      type: named.type.pipe(Args.withDescription("Whose history: a relay's or a tenant's. Required.")),
      id: named.id.pipe(Args.withDescription("The relay's id, or the tenant's public key as hex or npub1…. Required.")),
      at: Values.option("at", Values.moment).pipe(
        Options.withPseudoName("moment"),
        Options.optional,
        Options.withDescription(`Shows the resource as it was at this moment: ${moments}.`)
      ),
      newestFirst: Options.boolean("newest-first").pipe(Options.withDescription("Shows the newest events first.")),
      limit: Values.option("limit", Values.integer(1)).pipe(
        Options.withPseudoName("count"),
        Options.optional,
        Options.withDescription("The maximum number of events to print.")
      ),
      format,
      place
    },
    execute: onPlace(formatted(history))
  }),
  Subcommand.make({
    name: "diff",
    help: "Shows what differs between two moments: which relays and tenants appeared, what changed.",
    options: {
      from: Values.argument("FROM", Values.moment).pipe(
        Args.withDescription(`The first moment: ${moments}. Required.`)
      ),
      to: Values.argument("TO", Values.moment).pipe(
        Args.withDescription("The second moment, later or earlier. Required.")
      ),
      type: named.type.pipe(Args.withDescription("Only one relay or tenant."), Args.optional),
      id: named.id.pipe(
        Args.withDescription("The relay's id, or the tenant's public key as hex or npub1…."),
        Args.optional
      ),
      format,
      place
    },
    execute: onPlace(formatted(diff))
  }),
  Subcommand.make({
    name: "usage",
    help: "Shows when each of a tenant's relays was active, on which plan, and for how long in total, as on a bill. " +
      "The result is computed from the journal.",
    options: {
      tenant: Values.argument("TENANT", Values.pubkey).pipe(
        Args.withDescription("The tenant's public key, as hex or npub1…. Required.")
      ),
      from: Values.option("from", Values.instant).pipe(
        Options.withPseudoName("instant"),
        Options.optional,
        Options.withDescription(
          "From this instant on, such as 2026-11-01T00:00Z or 2026-11-01. Default: the tenant's creation."
        )
      ),
      to: Values.option("to", Values.instant).pipe(
        Options.withPseudoName("instant"),
        Options.optional,
        Options.withDescription("Until just before this instant. Default: now.")
      ),
      format,
      place
    },
    execute: onPlace(formatted(usage))
  })
]
