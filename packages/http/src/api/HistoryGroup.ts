/** The routes of the past: the events of a resource, its state at a moment, differences, and usage. */
import {
  type Change,
  type Difference,
  events,
  type HistoryEntry,
  PlanId,
  Position,
  PositionAhead,
  Pubkey,
  type RecordedEvent,
  RelayId,
  RelayNotFound,
  RelayState,
  TenantNotFound,
  TenantState
} from "@caravel/domain"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Record as Rec, Schema } from "effect"
import * as Page from "./Page.js"
import * as Parameters from "./Parameters.js"
import * as Problem from "./Problem.js"

const fields: Schema.Struct.Fields = { ...TenantState.fields, ...RelayState.fields }

const value = (field: Schema.Struct.Field) => Schema.optional(field as Schema.Schema.AnyNoContext)

/** One schema for each field that can change. */
const change = Schema.Union(
  ...Rec.collect(
    fields,
    (name, field) => Schema.Struct({ field: Schema.Literal(name), before: value(field), after: value(field) })
  )
).annotations({ identifier: "Change" }) as unknown as Schema.Schema<Change>

/**
 * An event with its position. Of a secret, it has only the reference.
 *
 * @since 0.1.0
 * @category models
 */
export const recorded = Schema.Union(
  ...Rec.collect(
    events,
    (tag, event) => Schema.Struct({ ...event.fields, position: Position }).annotations({ identifier: tag })
  )
) as unknown as Schema.Schema<RecordedEvent>

const entry = Schema.Struct({ event: recorded, changes: Schema.Array(change) }).annotations({
  identifier: "HistoryEntry"
}) as unknown as Schema.Schema<HistoryEntry>

const tenantState = TenantState.annotations({
  identifier: "TenantState",
  description: "A tenant at a moment of the past. In place of a secret it has the id of the event that set it."
})
const relayState = RelayState.annotations({ identifier: "RelayState" })

const differenceOf = <State extends Schema.Schema.AnyNoContext>(
  resourceType: "tenant" | "relay",
  resourceId: Schema.Schema.AnyNoContext,
  state: State
) =>
  Schema.Struct({
    resourceType: Schema.Literal(resourceType),
    resourceId,
    before: Schema.optional(state),
    after: Schema.optional(state),
    changes: Schema.Array(change)
  })

const difference = Schema.Union(
  differenceOf("tenant", Pubkey, tenantState),
  differenceOf("relay", RelayId, relayState)
) as unknown as Schema.Schema<Difference>

const usage = Schema.Struct({
  relay: RelayId,
  plan: PlanId,
  from: Schema.DateTimeUtc,
  to: Schema.DateTimeUtc
}).annotations({ identifier: "Usage" })

const ahead = Problem.schema(PositionAhead)

const described = "The events of this resource and what each changed; with at, its state at that moment."

/**
 * @since 0.1.0
 * @category groups
 */
export const HistoryGroup = HttpApiGroup.make("history")
  .add(
    HttpApiEndpoint.get("tenantHistory")`/history/tenants/${HttpApiSchema.param("pubkey", Pubkey)}`
      .setUrlParams(Parameters.History)
      .addSuccess(Schema.Union(Page.schema(entry), tenantState))
      .addError(Problem.schema(TenantNotFound))
      .addError(ahead)
      .annotate(OpenApi.Description, described)
  )
  .add(
    HttpApiEndpoint.get("relayHistory")`/history/relays/${HttpApiSchema.param("id", RelayId)}`
      .setUrlParams(Parameters.History)
      .addSuccess(Schema.Union(Page.schema(entry), relayState))
      .addError(Problem.schema(RelayNotFound))
      .addError(ahead)
      .annotate(OpenApi.Description, described)
  )
  .add(
    HttpApiEndpoint.get("diff", "/diff")
      .setUrlParams(Parameters.Diff)
      .addSuccess(Schema.Struct({ items: Schema.Array(difference) }))
      .addError(ahead)
      .annotate(OpenApi.Description, "What differs between two moments, in either direction.")
  )
  .add(
    HttpApiEndpoint.get("usage")`/usage/${HttpApiSchema.param("pubkey", Pubkey)}`
      .setUrlParams(Parameters.Usage)
      .addSuccess(Schema.Struct({ items: Schema.Array(usage) }))
      .annotate(
        OpenApi.Description,
        "When a tenant's relays were active, and on which plan: the basis of bills. The period is from (inclusive) to to " +
          "(exclusive)."
      )
  )
