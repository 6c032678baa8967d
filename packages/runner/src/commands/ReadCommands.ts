/** The subcommands `activity`, `tenant` and `relay`, which only read. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import { database, json, provideDatabase } from "../cli/Arguments.js"
import * as Values from "../cli/Values.js"
import * as Read from "./Read.js"

const tenantFilter = Values.option("tenant", Values.pubkey).pipe(
  Options.withPseudoName("pubkey"),
  Options.optional,
  Options.withDescription("Only this tenant's; hex or npub1….")
)

/**
 * `caravel activity`.
 *
 * @since 0.1.0
 * @category commands
 */
export const activity = Command.make("activity", {
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
  database
}, Read.activity).pipe(Command.withDescription("Shows the activity log, oldest first."), provideDatabase)

const pubkey = Values.argument("PUBKEY", Values.pubkey).pipe(
  Args.withDescription("The tenant's public key, as hex or npub1…; all tenants if omitted."),
  Args.optional
)

/**
 * `caravel tenant`.
 *
 * @since 0.1.0
 * @category commands
 */
export const tenant = Command.make("tenant", { pubkey, json, database }, Read.tenant).pipe(
  Command.withDescription("Shows tenants, or one with all its fields. Wallet URLs are never shown."),
  provideDatabase
)

/**
 * `caravel relay`.
 *
 * @since 0.1.0
 * @category commands
 */
export const relay = Command.make("relay", {
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
  database
}, Read.relay).pipe(Command.withDescription("Shows relays, or one with all its fields."), provideDatabase)
