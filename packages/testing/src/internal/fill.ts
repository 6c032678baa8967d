/** Makes whole events of specifications. */
import {
  type DecisionContext,
  type Event,
  EventId,
  events,
  type EventTag,
  type SecretId,
  type State
} from "@caravel/domain"
import {
  type Batch,
  fieldIn,
  isImport,
  isWhole,
  NwcUrlInput,
  resourceIn,
  resources,
  resourceTypeOf
} from "@caravel/domain/adapter"
import { DateTime, Option, Record as Rec, Schema, SchemaAST as AST } from "effect"
import type { EventSpecification } from "../EventSpecification.js"
import { defaultIds, newFields, start } from "./defaults.js"

/** The id and the instant of the event after these. */
export const contextAfter = (events: ReadonlyArray<Event>) => {
  const last = events.at(-1)
  const number = String(events.length + 1)
  return {
    id: EventId.make(`00000000-0000-7000-8000-${number.padStart(12, "0")}`),
    now: last === undefined ? DateTime.unsafeMake(start) : DateTime.add(last.createdAt, { seconds: 1 }),
    metadata: {}
  }
}

/** The changes that each tag implies: those whose schema is one literal. */
const literals = Rec.map(
  events as { readonly [Tag in EventTag]: { readonly fields: { readonly changes: Schema.Schema.All } } },
  ({ fields: { changes } }) =>
    Object.fromEntries(
      AST.getPropertySignatures(changes.ast).flatMap(({ name, type }) =>
        AST.isLiteral(type) ? [[name, type.literal]] : []
      )
    )
)

const impliedChanges = (tag: EventTag, resourceId: string, createdAt: string): { readonly [field: string]: unknown } =>
  isWhole({ _tag: tag })
    ? { ...newFields[resourceTypeOf(tag)!](resourceId), ...(isImport(tag) && { createdAt }) }
    : { ...literals[tag], ...(tag === "TenantPastDueSet" && { pastDueAt: createdAt }) }

const decodeSecret = Schema.decodeUnknownSync(Schema.NullOr(NwcUrlInput))

/** An event, and the secret that it sets. */
export interface Filled {
  readonly event: Event
  readonly secrets: Batch["secrets"]
}

/** Fills a specification: from the context, from the resource's state, and with defaults. */
export const fill = (
  specification: EventSpecification,
  state: State,
  { id: nextId, metadata, now }: Omit<DecisionContext, "expected">
): Filled => {
  const { _tag, id = nextId, createdAt = DateTime.formatIso(now) } = specification
  const resourceType = resourceTypeOf(_tag)!
  const { owner, secret: secretField } = resources[resourceType]
  const resourceId: string = specification.resourceId ?? defaultIds[resourceType]
  const here = Option.getOrUndefined(resourceIn(state, { resourceType, resourceId } as Event))
  const defaults = {
    tenant: resourceType === "tenant" ? resourceId : here === undefined ? defaultIds.tenant : fieldIn(here, owner),
    version: (here?.version ?? 0) + 1,
    metadata
  }
  const changes: { [field: string]: unknown } = {
    ...impliedChanges(_tag, resourceId, createdAt),
    ...specification.changes
  }
  const secret = secretField === undefined ? undefined : decodeSecret(changes[secretField] ?? null)
  if (secretField !== undefined && secret !== null) changes[secretField] = id
  const event: Event = Schema.decodeUnknownSync<Event, unknown>(
    events[_tag] as unknown as Schema.Schema<Event, unknown>,
    { onExcessProperty: "error" }
  )({ ...defaults, ...specification, id, createdAt, resourceType, resourceId, changes })
  return { event, secrets: secret ? [{ id: event.id as string as SecretId, value: secret }] : [] }
}
