/** The subcommands `secrets erase` and `secrets rotate`. `Cli` joins the two words of their names. */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import { database, json, provideWritable, yes } from "../cli/Arguments.js"
import * as SentWith from "../cli/SentWith.js"
import * as Values from "../cli/Values.js"
import * as Secrets from "./Secrets.js"

/** `caravel secrets erase`. */
export const secretsErase = Command.make("secrets erase", {
  pubkey: Values.argument("PUBKEY", Values.pubkey).pipe(
    Args.withDescription("The tenant's public key, as hex or npub1…. Required.")
  ),
  sentWith: SentWith.options,
  yes,
  json,
  database
}, Secrets.erase).pipe(
  Command.withDescription(
    "Clears a tenant's wallet URL, and removes every byte of it, and of replaced or cleared wallet URLs, from the " +
      "database's files. Logs update_tenant. Earlier backups still contain it."
  ),
  provideWritable
)

/** `caravel secrets rotate`. */
export const secretsRotate = Command.make("secrets rotate", { json, database }, Secrets.rotate).pipe(
  Command.withDescription(
    "Encrypts all wallet URLs with the first key of CARAVEL_SECRET_KEYS, also those in clear text, and removes their " +
      "earlier form from the database's files. The previous keys must follow the first one, separated by commas. " +
      "You can stop the command and run it again."
  ),
  provideWritable
)
