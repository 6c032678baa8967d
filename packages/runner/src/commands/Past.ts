/** `caravel history`, `caravel diff` and `caravel usage`: the past, as tables or as JSON lines. */
import {
  History,
  HistoryOptions,
  Journal,
  Relay,
  type Resource,
  type StorageError,
  Tenant,
  type TenantState
} from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import { DateTime, Effect, Either, Option, Redacted, Schema, Stream } from "effect"
import * as Values from "../cli/Values.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as RenderPast from "../terminal/RenderPast.js"

const decodePage = Schema.decode(HistoryOptions)

/** `now` means the head. */
const momentOf = ({ at }: Values.Moment): Effect.Effect<number | string, StorageError, Journal> =>
  at === "now" ? Effect.flatMap(Journal, ({ head }) => head) : Effect.succeed(at)

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
      const creation = `it was created at position ${created.position}, ${Render.time(created.createdAt)} (UTC)`
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

/**
 * Shows what happened to a resource, or its state at a moment.
 *
 * @since 0.1.0
 * @category commands
 */
export const history = Effect.fn("Past.history")(function*(options: {
  readonly type: "relay" | "tenant"
  readonly id: string
  readonly at: Option.Option<Values.Moment>
  readonly newestFirst: boolean
  readonly limit: Option.Option<number>
  readonly json: boolean
}) {
  const { at, limit, newestFirst } = options
  const output = yield* Output
  const asTable = output.isTerminal && !options.json
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

/**
 * Shows the differences between two moments, of everything or of one resource.
 *
 * @since 0.1.0
 * @category commands
 */
export const diff = Effect.fn("Past.diff")(function*(options: {
  readonly from: Values.Moment
  readonly to: Values.Moment
  readonly type: Option.Option<"relay" | "tenant">
  readonly id: Option.Option<string>
  readonly json: boolean
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
  if (!output.isTerminal || options.json) {
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

/**
 * Shows when a tenant's relays were active, on which plan, and the total durations.
 *
 * @since 0.1.0
 * @category commands
 */
export const usage = Effect.fn("Past.usage")(function*(options: {
  readonly tenant: string
  readonly from: Option.Option<string>
  readonly to: Option.Option<string>
  readonly json: boolean
}) {
  const output = yield* Output
  const history = yield* History
  const { createdAt } = yield* creationOf({ resourceType: "tenant", resourceId: options.tenant })
  const now = yield* DateTime.now
  const from = Option.getOrElse(options.from, () => createdAt)
  const to = Option.getOrElse(options.to, () => now)
  const usage = yield* history.usage(options.tenant, from, to)
  if (usage.some(({ to }) => DateTime.greaterThan(to, now))) {
    yield* output.note(
      output.errorStyle.yellow("--to is in the future: relays that are active now count as active until then")
    )
  }
  const totals = RenderPast.totals(usage)
  if (!output.isTerminal || options.json) {
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
