/** A journal from event specifications. */
import { type Event, evolve, type State, stateOf } from "@caravel/domain"
import { type Batch, isImport, isWhole, resourceIn } from "@caravel/domain/adapter"
import { HashMap, Option } from "effect"
import type { EventSpecification } from "./EventSpecification.js"
import { contextAfter, fill } from "./internal/fill.js"

/**
 * A journal, and the secrets that its events set.
 *
 * @since 0.1.0
 * @category models
 */
export interface GivenJournal {
  readonly events: ReadonlyArray<Event>
  readonly secrets: Batch["secrets"]
}

/**
 * The events of a journal from specifications. Ids, versions and instants are filled in and are always the same: the
 * first event happens at the instant at which `TestClock` starts, and each further one a second later. Throws if the
 * events cannot follow one another, such as a change of a relay that was not created.
 *
 * @example
 * ```ts
 * import { History } from "@caravel/domain"
 * import { Memory } from "@caravel/memory"
 * import { event, journalOf } from "@caravel/testing"
 * import { Effect } from "effect"
 *
 * const journal = journalOf(event("TenantCreated"), event("RelayCreated"), event("RelayDeactivated"))
 *
 * const program = Effect.flatMap(History, (history) => history.relay("main", 2))
 * void program.pipe(Effect.provide(Memory.layerWith(journal)), Effect.runPromise)
 * ```
 *
 * @since 0.1.0
 * @category specifications
 */
export const journalOf = (...specifications: ReadonlyArray<EventSpecification>): GivenJournal => {
  const events: Array<Event> = []
  const secrets: Array<Batch["secrets"][number]> = []
  let state = stateOf([], [])
  for (const specification of specifications) {
    const filled = fill(specification, state, contextAfter(events))
    const problem = problemOf(filled.event, state)
    if (problem !== undefined) throw new Error(`Given event ${events.length + 1}, ${specification._tag}: ${problem}`)
    events.push(filled.event)
    for (const secret of filled.secrets) secrets.push(secret)
    state = evolve(state, filled.event)
  }
  return { events, secrets }
}

/** Why an event cannot be the next one. */
const problemOf = (event: Event, state: State): string | undefined => {
  const here = Option.getOrUndefined(resourceIn(state, event))
  const resource = `the ${event.resourceType} ${event.resourceId}`
  const next = (here?.version ?? 0) + 1
  if (here === undefined && !isWhole(event)) {
    return `${resource} does not exist yet; give the event that creates it first`
  }
  if (here !== undefined && isWhole(event) && !isImport(event._tag)) return `${resource} exists already`
  if (event.version !== next) return `the next version of ${resource} is ${next}, not ${event.version}`
  if (event.resourceType === "tenant") return undefined
  if (!HashMap.has(state.tenants, event.tenant)) {
    return `its tenant ${event.tenant} does not exist yet; give the event that creates it first`
  }
  const taken = "subdomain" in event.changes && event.changes.subdomain !== undefined
    ? HashMap.get(state.subdomains, event.changes.subdomain)
    : Option.none()
  return Option.exists(taken, (id) => id !== event.resourceId) ? `another relay has its subdomain` : undefined
}
