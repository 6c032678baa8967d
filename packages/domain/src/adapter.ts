/**
 * The parts of the domain that only adapters and hosts need: the decisions on a batch, stored forms and their versions,
 * verification, and the shared runtime.
 *
 * @since 0.1.0
 */
export { namesCommand } from "./command/CommandRequest.js"
export { commandTable } from "./command/CommandTable.js"
export { currentInstant } from "./command/CurrentInstant.js"
export * from "./command/IdempotencyKey.js"
export { parametersOf, payloadOf } from "./command/MethodParameters.js"
export {
  type Batch,
  decideAll,
  decideInSteps,
  type PendingCommand,
  reads,
  type Submission,
  submissionOf
} from "./decide/Batch.js"
export { resourceIn, resourceOf } from "./decide/Decider.js"
export * from "./decide/Idempotency.js"
export { clockJumps, clockMessage, defaultClockTolerance, makeClockReport } from "./event/ClockJump.js"
export { activityTypeOf, isImport, isMetered, isWhole, resourceTypeOf } from "./event/EventTable.js"
export * from "./event/Upcast.js"
export { Period } from "./history/Usage.js"
export * from "./import/ImportBatch.js"
export * from "./import/ImportModel.js"
export { checkEpoch, checkPosition, makeEpoch } from "./journal/Epoch.js"
export { decodeInput, inputError, type Issue, issuesIn, readable } from "./model/Decoding.js"
export { Label } from "./model/Metadata.js"
export { fieldIn, resourceKey, resources, secretFields, stateFields } from "./model/Resource.js"
export { NwcUrlInput } from "./model/Tenant.js"
export { Diagnostic, expected, NonEmptyText, storableText, withoutSecrets } from "./model/Text.js"
export { branded } from "./model/Trusted.js"
export * as Codec from "./runtime/Codec.js"
export { isTraced, withSpan } from "./runtime/Span.js"
export { mapInSteps, nextTurn, runAtOnce, runInTurns, type Steps } from "./runtime/Steps.js"
export {
  contestedSubdomain,
  damagedDatabase,
  damagedRow,
  inconsistentEvent,
  misplacedEvents,
  missingEvents,
  unattributedEvent,
  unexpectedRow,
  unexpectedSecret
} from "./verify/Drift.js"
export { ResourceVerifier } from "./verify/Verification.js"
