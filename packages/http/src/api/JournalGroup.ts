/** The routes of the journal: what a program needs to follow it, and to read the past as it likes. */
import { EpochStart, Position, Pubkey, RelayId } from "@caravel/domain"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Schema } from "effect"
import { recorded } from "./HistoryGroup.js"
import * as Parameters from "./Parameters.js"

const page = Schema.Struct({ items: Schema.Array(recorded) })

const head = HttpApiEndpoint.get("journal", "/journal")
  .addSuccess(Schema.Struct({ head: Position, epochs: Schema.NonEmptyArray(EpochStart) }))
  .annotate(OpenApi.Description, "The last position of the journal, and its timelines, of which the last is current.")

const position = HttpApiEndpoint.get("positionAt", "/journal/position")
  .setUrlParams(Parameters.PositionAt)
  .addSuccess(Schema.Struct({ position: Position }))
  .annotate(OpenApi.Description, "The last position before the first event that is later than an instant.")

const all = HttpApiEndpoint.get("events", "/events")
  .setUrlParams(Parameters.AllEvents)
  .addSuccess(page)
  .annotate(
    OpenApi.Description,
    "The events after a position, oldest first. Fewer than the limit end at the head. With position, which may be " +
      "repeated, the events at these positions, whatever the other parameters are."
  )

const ofTenant = HttpApiEndpoint.get("tenantEvents")`/tenants/${HttpApiSchema.param("pubkey", Pubkey)}/events`
  .setUrlParams(Parameters.ResourceEvents)
  .addSuccess(page)
  .annotate(
    OpenApi.Description,
    "The events of a tenant after a version, oldest first; those of its relays are not among them."
  )

const ofRelay = HttpApiEndpoint.get("relayEvents")`/relays/${HttpApiSchema.param("id", RelayId)}/events`
  .setUrlParams(Parameters.ResourceEvents)
  .addSuccess(page)
  .annotate(OpenApi.Description, "The events of a relay after a version, oldest first.")

const metered = HttpApiEndpoint.get("meteredEvents")`/tenants/${HttpApiSchema.param("pubkey", Pubkey)}/metered-events`
  .setUrlParams(Parameters.Events)
  .addSuccess(page)
  .annotate(
    OpenApi.Description,
    "The events that usage is computed from, of a tenant and its relays, after a position."
  )

/**
 * @since 0.1.0
 * @category groups
 */
export const JournalGroup = HttpApiGroup.make("journal")
  .add(head)
  .add(position)
  .add(all)
  .add(ofTenant)
  .add(ofRelay)
  .add(metered)
