/** Events for tests: you write what matters, and the rest has defaults. */
import type { events, EventTag } from "@caravel/domain"
import type { Schema, Types } from "effect"

type Encoded<Tag extends EventTag> = Schema.Schema.Encoded<typeof events[Tag]>

type Changes<Tag extends EventTag> = Encoded<Tag>["changes"]

/** The tags that do not say what has changed: those of errors and of Stripe's ids. */
type OpenTag = "RelaySyncFailed" | "RelaySubscriptionItemSet" | "TenantSubscriptionSet" | "TenantNwcErrorSet"

/**
 * The fields of an event in plain values, as the journal stores them; `nwcUrl` is the wallet URL itself. What you omit
 * has a default:
 *
 * - `resourceId`: `pubkey("alice")` or the relay `main`. `tenant`: the resource's owner, or `pubkey("alice")`.
 * - `version`: the resource's next one. `id`, `createdAt` and `metadata`: those of the place where the event stands.
 * - `changes`: what the tag implies, such as `status: "inactive"`, and the values of a new tenant or relay.
 *
 * @since 0.1.0
 * @category models
 */
export type EventFields<Tag extends EventTag> = Types.Simplify<
  & Partial<Omit<Encoded<Tag>, "_tag" | "resourceType" | "changes">>
  & (Tag extends OpenTag ? { readonly changes: Changes<Tag> } : { readonly changes?: Partial<Changes<Tag>> })
>

/**
 * An event, of which the fields that have defaults may be omitted.
 *
 * @since 0.1.0
 * @category models
 */
export type EventSpecification<Tag extends EventTag = EventTag> = {
  readonly [Name in Tag]: { readonly _tag: Name } & EventFields<Name>
}[Tag]

/**
 * Specifies an event.
 *
 * @example
 * ```ts
 * import { event, pubkey } from "@caravel/testing"
 *
 * const created = event("TenantCreated", { resourceId: pubkey("bob"), changes: { stripeCustomerId: "cus_1" } })
 * const failed = event("RelaySyncFailed", { resourceId: "chat", changes: { syncError: "no room" } })
 * ```
 *
 * @since 0.1.0
 * @category specifications
 */
export const event = <Tag extends EventTag>(
  _tag: Tag,
  ...[fields]: {} extends EventFields<Tag> ? [fields?: EventFields<Tag>] : [fields: EventFields<Tag>]
): EventSpecification<Tag> => ({ ...fields as object, _tag }) as EventSpecification<Tag>
