/**
 * Caravel's domain: tenants and relays, the seventeen commands as data, the events they give, the decisions between them,
 * and the services that adapters provide.
 *
 * @since 0.1.0
 */
export * from "./Activity.js"
export * from "./ActivityFeed.js"
export * from "./ActivityPubSub.js"
export * from "./Batch.js"
export * from "./Command.js"
export * from "./CommandError.js"
export * from "./CommandRequest.js"
export * from "./CommandTable.js"
export * from "./Decider.js"
export * from "./Event.js"
export { EventId } from "./EventId.js"
export * from "./Journal.js"
export * from "./Query.js"
export * from "./Relay.js"
export * from "./RelayCommand.js"
export * from "./Span.js"
export * from "./Tenant.js"
export * from "./TenantCommand.js"
export * from "./Text.js"
export * from "./Upcast.js"
export * from "./Verification.js"
