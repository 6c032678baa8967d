/** The subcommands `history`, `diff` and `usage`. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { Either } from "effect"
import { database, json, provideDatabase } from "../cli/Arguments.js"
import * as Values from "../cli/Values.js"
import * as Past from "./Past.js"

const moment = "a position, an instant such as 2026-11-01T00:00Z or \"2026-11-01 00:00\" (UTC), a date, or now"

const resource = {
  type: Values.argument("relay|tenant", Values.oneOf("relay", "tenant")),
  // The form of the id depends on the type.
  id: Values.argument("ID", Either.right)
}

/**
 * `caravel history`.
 *
 * @since 0.1.0
 * @category commands
 */
export const history = Command.make("history", {
  type: resource.type.pipe(Args.withDescription("Whose history: a relay's or a tenant's. Required.")),
  id: resource.id.pipe(Args.withDescription("The relay's id, or the tenant's public key as hex or npub1…. Required.")),
  at: Values.option("at", Values.moment).pipe(
    Options.withPseudoName("moment"),
    Options.optional,
    Options.withDescription(`Shows the resource as it was at this moment: ${moment}.`)
  ),
  newestFirst: Options.boolean("newest-first").pipe(Options.withDescription("Shows the newest events first.")),
  limit: Values.option("limit", Values.integer(0)).pipe(
    Options.withPseudoName("count"),
    Options.optional,
    Options.withDescription("The maximum number of events to print.")
  ),
  json,
  database
}, Past.history).pipe(
  Command.withDescription(
    "Shows the events of a relay or a tenant and what each changed, or, with --at, its state at that moment. " +
      "Wallet URLs are never shown."
  ),
  provideDatabase
)

/**
 * `caravel diff`.
 *
 * @since 0.1.0
 * @category commands
 */
export const diff = Command.make("diff", {
  from: Values.argument("FROM", Values.moment).pipe(Args.withDescription(`The first moment: ${moment}. Required.`)),
  to: Values.argument("TO", Values.moment).pipe(Args.withDescription("The second moment, later or earlier. Required.")),
  type: resource.type.pipe(Args.withDescription("Only one relay or tenant."), Args.optional),
  id: resource.id.pipe(
    Args.withDescription("The relay's id, or the tenant's public key as hex or npub1…."),
    Args.optional
  ),
  json,
  database
}, Past.diff).pipe(
  Command.withDescription("Shows what differs between two moments: which relays and tenants appeared, what changed."),
  provideDatabase
)

/**
 * `caravel usage`.
 *
 * @since 0.1.0
 * @category commands
 */
export const usage = Command.make("usage", {
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
  json,
  database
}, Past.usage).pipe(
  Command.withDescription(
    "Shows when each of a tenant's relays was active, on which plan, and for how long in total, as on a bill. " +
      "The result is computed from the journal."
  ),
  provideDatabase
)
