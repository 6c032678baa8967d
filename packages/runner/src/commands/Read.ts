/** `caravel tenant` and `caravel relay`: tenants and relays as they are now. */
import { Query, Relay, RelayStatus, Tenant } from "@caravel/domain"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { Effect, Option } from "effect"
import { format, formatted, watch, watched } from "../cli/Format.js"
import { onPlace, place } from "../cli/Place.js"
import * as Values from "../cli/Values.js"
import * as Listing from "../terminal/Listing.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

const showOne = Effect.fnUntraced(function*<A extends Tenant | Relay>(found: Option.Option<A>, options: {
  readonly missing: string
  readonly toJson: (resource: A) => unknown
}) {
  if (Option.isNone(found)) return yield* new Failed({ message: options.missing })
  const output = yield* Output
  const lines = output.isTerminal
    ? Render.details(found.value, output.style)
    : [JSON.stringify(options.toJson(found.value))]
  yield* Effect.forEach(lines, output.print, { discard: true })
})

/** Sorts by a field as it is in JSON; what is null comes last. */
const sorted = <A>(all: ReadonlyArray<A>, order: Option.Option<Values.Order>, toJson: (one: A) => object) => {
  if (Option.isNone(order)) return all
  const { field, isDescending } = order.value
  const compare = (one: unknown, other: unknown) => {
    if (one === null || other === null) return one === other ? 0 : one === null ? 1 : -1
    const difference = typeof one === "string" && typeof other === "string"
      ? one < other ? -1 : one > other ? 1 : 0
      : Number(one) - Number(other)
    return isDescending ? -difference : difference
  }
  const keyed = all.map((one) => ({ one, key: new Map<string, unknown>(Object.entries(toJson(one))).get(field) }))
  return keyed.sort((one, other) => compare(one.key, other.key)).map(({ one }) => one)
}

/** Shows one tenant, or those that match. */
const tenant = Effect.fn("Read.tenant")(
  function*(options: {
    readonly pubkey: Option.Option<string>
    readonly pastDue: Option.Option<boolean>
    readonly wallet: Option.Option<"set" | "not-set" | "failing">
    readonly sort: Option.Option<Values.Order>
  }) {
    const { pastDue, pubkey, sort, wallet } = options
    const query = yield* Query
    if (Option.isSome(pubkey)) {
      if (Option.isSome(pastDue) || Option.isSome(wallet) || Option.isSome(sort)) {
        return yield* new Failed({ message: "--past-due, --wallet and --sort are for a list; leave out PUBKEY" })
      }
      const found = yield* query.tenant(pubkey.value)
      const missing = `Tenant ${pubkey.value} does not exist`
      return yield* showOne(found, { missing, toJson: Render.tenantJson })
    }
    const found = yield* query.findTenants({ pastDue: Option.getOrUndefined(pastDue) })
    const all = found.filter((tenant) =>
      Option.isNone(wallet) || Render.walletOf(tenant).replace(" ", "-") === wallet.value
    )
    yield* Listing.show(sorted(all, sort, Render.tenantJson), {
      none: Option.isSome(pastDue) || Option.isSome(wallet)
        ? "No tenant matches"
        : "No tenants yet; create one with caravel create-tenant",
      toJson: Render.tenantJson,
      toTable: Render.tenantTable
    })
  }
)

/** Shows one relay, by its id or subdomain, or those that match. */
const relay = Effect.fn("Read.relay")(
  function*(options: {
    readonly id: Option.Option<string>
    readonly subdomain: Option.Option<string>
    readonly tenant: Option.Option<string>
    readonly status: ReadonlyArray<RelayStatus>
    readonly plan: ReadonlyArray<string>
    readonly sync: Option.Option<"done" | "pending" | "failed">
    readonly sort: Option.Option<Values.Order>
  }) {
    const { id, plan, sort, status, subdomain, sync, tenant } = options
    const filters = status.length + plan.length + [tenant, sync].filter(Option.isSome).length
    if ([id, subdomain].filter(Option.isSome).length + Math.min(1, filters) > 1) {
      return yield* new Failed({
        message: "Give an id, --subdomain, or what a list is filtered by, not several of them"
      })
    }
    const query = yield* Query
    if (Option.isSome(id)) {
      const found = yield* query.relay(id.value)
      return yield* showOne(found, { missing: `Relay ${id.value} does not exist`, toJson: Render.relayJson })
    }
    if (Option.isSome(subdomain)) {
      const found = yield* query.relayBySubdomain(subdomain.value)
      const missing = `No relay has the subdomain ${subdomain.value}`
      return yield* showOne(found, { missing, toJson: Render.relayJson })
    }
    const found = yield* query.findRelays({
      tenant: Option.getOrUndefined(tenant),
      status: status.length === 0 ? undefined : status,
      plan: plan.length === 0 ? undefined : plan
    })
    const all = found.filter((relay) => Option.isNone(sync) || Render.syncOf(relay) === sync.value)
    yield* Listing.show(sorted(all, sort, Render.relayJson), {
      none: filters > 0 ? "No relay matches" : "No relays yet; create one with caravel create-relay",
      toJson: Render.relayJson,
      toTable: Render.relayTable
    })
  }
)

const sort = (fields: object) =>
  Values.option("sort", Values.order(Object.keys(fields))).pipe(
    Options.withPseudoName("field"),
    Options.optional,
    Options.withDescription(
      "Sorts a list by a field, as JSON lines have it, such as createdAt; with - before it, in descending order."
    )
  )

const choice = <const Words extends ReadonlyArray<string>>(name: string, description: string, ...words: Words) =>
  Values.option(name, Values.oneOf(...words)).pipe(
    Options.withPseudoName(words.join("|")),
    Options.optional,
    Options.withDescription(description)
  )

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "tenant",
    help: "Shows tenants, or one with all its fields. Wallet URLs are never shown.",
    options: {
      pubkey: Values.argument("PUBKEY", Values.pubkey).pipe(
        Args.withDescription("The tenant's public key, as hex or npub1…; all tenants if omitted."),
        Args.optional
      ),
      pastDue: choice("past-due", "Only tenants with a bill that is past due, or only others.", "true", "false").pipe(
        Options.map(Option.map((text) => text === "true"))
      ),
      wallet: choice("wallet", "Only tenants with this state of their wallet URL.", "set", "not-set", "failing"),
      sort: sort(Tenant.fields),
      format,
      place
    },
    execute: onPlace(formatted(tenant))
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
      tenant: Values.option("tenant", Values.pubkey).pipe(
        Options.withPseudoName("pubkey"),
        Options.optional,
        Options.withDescription("Only this tenant's; hex or npub1….")
      ),
      status: Values.options("status", Values.oneOf(...RelayStatus.literals), RelayStatus.literals.join("|")).pipe(
        Options.withDescription("Only relays with this status; may be repeated.")
      ),
      plan: Values.options("plan", Values.planId, "plan").pipe(
        Options.withDescription("Only relays on this plan; may be repeated.")
      ),
      sync: choice("sync", "Only relays whose provisioning is in this state.", "done", "pending", "failed"),
      sort: sort(Relay.fields),
      watch,
      format,
      place
    },
    execute: onPlace(formatted(watched(relay)))
  })
]
