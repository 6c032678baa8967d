/** Random commands on few ids and subdomains, so that they often conflict. */
import { type CommandRequest, type CommandTag } from "@caravel/domain"
import { FastCheck as fc } from "effect"
import { command, tags, url } from "./given.js"

const pubkey = fc.constantFrom("a".repeat(64), "b".repeat(64))
const id = fc.constantFrom("one", "two", "three")
const subdomain = fc.constantFrom("uno", "dos", "tres")
const text = fc.constantFrom("", "text")
const stripeId = fc.constantFrom("id_1", "id_2")
const orNull = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: null })
const options = {
  plan: orNull(fc.constantFrom("free", "basic")),
  infoName: orNull(text),
  pushEnabled: orNull(fc.boolean())
}
const secret = { nwcUrl: orNull(fc.constantFrom(url, `${url}2`)), stripeCustomerId: orNull(stripeId) }

const payloads: { readonly [Tag in CommandTag]: fc.Arbitrary<object> } = {
  CreateTenant: fc.record({ pubkey, ...secret }, { requiredKeys: ["pubkey"] }),
  UpdateTenant: fc.record({ pubkey, ...secret }, { requiredKeys: ["pubkey"] }),
  CreateRelay: fc.record({ id, tenant: pubkey, subdomain, ...options }, {
    requiredKeys: ["id", "tenant", "subdomain"]
  }),
  UpdateRelay: fc.record({ id, subdomain, ...options }, { requiredKeys: ["id"] }),
  DeactivateRelay: fc.record({ id }),
  MarkRelayDelinquent: fc.record({ id }),
  ActivateRelay: fc.record({ id }),
  FailRelaySync: fc.record({ id, syncError: text }),
  CompleteRelaySync: fc.record({ id }),
  DeleteRelaySubscriptionItem: fc.record({ id }),
  SetRelaySubscriptionItem: fc.record({ id, stripeSubscriptionItemId: stripeId }),
  SetTenantSubscription: fc.record({ pubkey, stripeSubscriptionId: stripeId }),
  ClearTenantSubscription: fc.record({ pubkey }),
  SetTenantNwcError: fc.record({ pubkey, nwcError: text }),
  ClearTenantNwcError: fc.record({ pubkey }),
  SetTenantPastDue: fc.record({ pubkey }),
  ClearTenantPastDue: fc.record({ pubkey })
}

const payload = (tag: CommandTag) => payloads[tag].map((payload) => command(tag, payload))

/** Any command; those that create resources or change subdomains are the most frequent. */
export const anyCommand: fc.Arbitrary<CommandRequest> = fc.oneof(
  { arbitrary: payload("CreateTenant"), weight: 4 },
  { arbitrary: payload("UpdateTenant"), weight: 4 },
  { arbitrary: payload("CreateRelay"), weight: 8 },
  { arbitrary: payload("UpdateRelay"), weight: 8 },
  ...tags.map(payload)
)

/** One command of each type. */
export const oneOfEach: fc.Arbitrary<ReadonlyArray<CommandRequest>> = fc.tuple(...tags.map(payload))
