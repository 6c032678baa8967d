/** What fixtures and event specifications have where you name nothing. */
import { defaultRelayOptions, RelayId } from "@caravel/domain"
import { pubkey } from "../Pubkey.js"

/** The instant at which fixtures are created and given journals begin: the one at which `TestClock` starts. */
export const start = "1970-01-01T00:00:00.000Z"

/**
 * The resources that fixtures and event specifications are about unless they name another one: the tenant
 * `pubkey("alice")`, and her relay `main`.
 */
export const defaultIds = { tenant: pubkey("alice"), relay: RelayId.make("main") }

/** The id itself, or what is left of it without what no subdomain can have. */
const subdomainOf = (id: string) =>
  id.toLowerCase().replaceAll("_", "-").slice(0, 63).replace(/^-+|-+$/g, "") || "relay"

/** The fields of a resource that was just created, apart from its key, owner, version and instant. */
export const newFields = {
  tenant: (_pubkey: string) => ({
    nwcUrl: null,
    nwcError: null,
    stripeCustomerId: null,
    stripeSubscriptionId: null,
    pastDueAt: null
  }),
  relay: (id: string) => ({
    subdomain: subdomainOf(id),
    ...defaultRelayOptions,
    status: "active" as const,
    synced: false,
    syncError: "",
    stripeSubscriptionItemId: null
  })
}
