/** Tenants with their wallet URL, which a host sends only by a route of its own. */
import { type StorageError, Tenant } from "@caravel/domain"
import { Effect, Redacted } from "effect"
import type { View } from "../api/View.js"
import { called, type Connection } from "./Connection.js"

/** Completes a tenant that the host shows without its secret. */
export type WithSecret = (view: View<"tenant">) => Effect.Effect<Tenant, StorageError>

/**
 * Without the grant to read secrets, a tenant that has one fails with a `StorageError`, as null would be wrong.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ client: { queries }, options }: Connection): WithSecret => (view) =>
  view.nwcUrl === null
    ? Effect.succeed(Tenant.trusted({ ...view, nwcUrl: null }))
    : queries.secretsOf({ path: { pubkey: view.pubkey } }).pipe(
      Effect.map(({ nwcUrl }) => Tenant.trusted({ ...view, nwcUrl: nwcUrl === null ? null : Redacted.make(nwcUrl) })),
      // It was deleted in between.
      Effect.catchTag("TenantNotFound", () => Effect.succeed(Tenant.trusted({ ...view, nwcUrl: null }))),
      called("secrets", options)
    )

const some = Redacted.make("nostr+walletconnect://redacted")

/**
 * Whether a command would store what stands for a wallet URL that was not read.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isHidden = (command: object): boolean =>
  "nwcUrl" in command && Redacted.isRedacted(command.nwcUrl) && Redacted.value(command.nwcUrl) === Redacted.value(some)

/**
 * Without reading secrets: in place of one that is set is a value that says nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const hidden: WithSecret = (view) =>
  Effect.succeed(Tenant.trusted({ ...view, nwcUrl: view.nwcUrl === null ? null : some }))
