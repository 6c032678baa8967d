/**
 * Caravel's domain: tenants and relays, the seventeen commands as data, the events they produce, the decisions between
 * them, and the services that adapters provide. What only adapters and hosts need is in `@caravel/domain/adapter`.
 *
 * @since 0.1.0
 */
export * from "./ActivityFeed.js"
export * from "./ActivityPubSub.js"
export * from "./Command.js"
export * from "./command/CommandError.js"
export {
  type CommandInput,
  type CommandOf,
  CommandRequest,
  commands,
  decodeCommand,
  type FailureOf,
  type PayloadOf,
  type SuccessOf
} from "./command/CommandRequest.js"
export { type CommandTag } from "./command/CommandTable.js"
export * from "./command/InputLimits.js"
export * from "./command/Methods.js"
export * from "./command/Payloads.js"
export * from "./command/RelayCommand.js"
export * from "./command/TenantCommand.js"
export { stateOf } from "./decide/Batch.js"
export { decide, type DecisionContext, evolve, type Refusal, type RefusalOf, type State } from "./decide/Decider.js"
export { type ClockFinding, type ClockJump, type ClockOffset } from "./event/ClockJump.js"
export * from "./event/Event.js"
export { type EventTag } from "./event/EventTable.js"
export * from "./history/Change.js"
export * from "./history/History.js"
export { type Usage } from "./history/Usage.js"
export { Epoch, EpochStart, PositionFromOtherEpoch } from "./journal/Epoch.js"
export * from "./journal/Journal.js"
export * from "./model/Activity.js"
export { issuesOf } from "./model/Decoding.js"
export { EventId } from "./model/EventId.js"
export { type CallerMetadata, Metadata } from "./model/Metadata.js"
export * from "./model/Moment.js"
export * from "./model/Relay.js"
export { Resource, type ResourceState } from "./model/Resource.js"
export { NwcUrl, Pubkey, SecretId, StripeId, Tenant, TenantState } from "./model/Tenant.js"
export { Text, Version } from "./model/Text.js"
export * from "./Query.js"
export * from "./Secrets.js"
export { Drift, isOfJournal, isRepairable } from "./verify/Drift.js"
export { type Verification } from "./verify/Verification.js"
