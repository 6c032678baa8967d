/** Folds over the journal's events, which are read in pages. */
import { Array as Arr, Chunk, Effect, Option, type Predicate, Stream } from "effect"
import type { StorageError } from "../command/CommandError.js"
import { stateOf } from "../decide/Batch.js"
import { evolve, type State } from "../decide/Decider.js"
import type { RecordedEvent } from "../event/Event.js"
import type { Journal } from "../journal/Journal.js"
import { Position } from "../model/Activity.js"
import { type Resource, resourceKey } from "../model/Resource.js"
import type { Pubkey } from "../model/Tenant.js"
import { nextTurn } from "../runtime/Steps.js"
import type { Difference, HistoryEntry } from "./Change.js"
import { differenceOf, entryOf } from "./Differences.js"
import { Meter } from "./Metering.js"
import type { Period, Usage } from "./Usage.js"

type Reads = typeof Journal.Service
type Page = ReadonlyArray<RecordedEvent>
type Read = (last: RecordedEvent | undefined) => Effect.Effect<Page, StorageError>

const pageSize = 1000

/** The events after a position up to another one. Of a damaged journal, this may also read later events. */
const eventsBetween = (journal: Reads, first: Position, last: Position): Read => (previous) => {
  const after = previous?.position ?? first
  return journal.read(after, Math.min(pageSize, last - after))
}

/** The events of a resource up to a version. Of a damaged journal, this may also read later events. */
const eventsOf = (journal: Reads, resource: Resource, upTo = Infinity): Read => (previous) => {
  const after = previous?.version ?? 0
  return journal.readResource(resource, after, Math.min(pageSize, upTo - after))
}

const activitiesOf = (journal: Reads, tenant: Pubkey): Read => (last) =>
  journal.readTenant(tenant, last?.position ?? Position.make(0), pageSize)

/** Folds the events of a read up to the first one that does not pass. */
const fold = <A>(
  read: Read,
  passes: Predicate.Predicate<RecordedEvent>,
  initial: A,
  step: (before: A, page: Page) => Effect.Effect<A, StorageError>
): Effect.Effect<A, StorageError> =>
  Effect.gen(function*() {
    let value = initial
    let last: RecordedEvent | undefined
    for (;;) {
      const page: Page = yield* read(last)
      const passing = Arr.takeWhile(page, passes)
      value = yield* step(value, passing)
      if (passing.length < pageSize) return value
      last = page[pageSize - 1]
      yield* nextTurn
    }
  })

/** The state before the first event. */
const nothing: State = stateOf([], [])

const foldState = (read: Read, passes: Predicate.Predicate<RecordedEvent>) =>
  fold(read, passes, nothing, (state, page) => Effect.succeed(page.reduce(evolve, state)))

/** The state of all resources at a position. */
export const stateAt = (journal: Reads, position: Position): Effect.Effect<State, StorageError> =>
  foldState(eventsBetween(journal, Position.make(0), position), (event) => event.position <= position)

/** The state of a resource at a position. */
export const resourceAt = (
  journal: Reads,
  resource: Resource,
  position: Position
): Effect.Effect<State, StorageError> => foldState(eventsOf(journal, resource), (event) => event.position <= position)

/** A tenant's usage. */
export const usageOf = (
  journal: Reads,
  tenant: Pubkey,
  period: Period
): Effect.Effect<ReadonlyArray<Usage>, StorageError> =>
  Effect.suspend(() =>
    fold(activitiesOf(journal, tenant), () => true, new Meter(period), (meter, page) =>
      Effect.sync(() => {
        for (const event of page) meter.record(event)
        return meter
      }))
  ).pipe(Effect.map(({ usage }) => usage))

type Entries = Stream.Stream<HistoryEntry, StorageError>

/** The history entry of each event in a page, and the state after the page. */
const explained = (before: State, page: Page) =>
  Arr.mapAccum(page, before, (before, event) => {
    const after = evolve(before, event)
    return [after, entryOf(before, event, after)]
  })

/** The history entries of a resource after a version, oldest first. */
export const oldestFirst = (journal: Reads, resource: Resource, after = 0): Entries => {
  const read = eventsOf(journal, resource)
  return Stream.paginateChunkEffect(
    { state: nothing, last: undefined as RecordedEvent | undefined },
    ({ last, state }) =>
      Effect.map(Effect.zipRight(last === undefined ? Effect.void : nextTurn, read(last)), (page) => {
        const [next, entries] = explained(state, page)
        return [
          Chunk.unsafeFromArray(entries.filter(({ event }) => event.version > after)),
          page.length < pageSize ? Option.none() : Option.some({ state: next, last: page[pageSize - 1] })
        ]
      })
  )
}

/**
 * The history entries of a resource before a version, newest first. The value of a field before an event was set by an
 * earlier event, perhaps the first. Pages are therefore read forwards once, to fold the state at the start of each, and
 * then backwards.
 */
export const newestFirst = (journal: Reads, resource: Resource, before = Infinity): Entries => {
  const start: Start = { state: nothing, version: 0, count: 0 }
  const starts = fold(
    eventsOf(journal, resource),
    ({ version }) => version < before,
    { next: start, past: Arr.empty<Start>() },
    ({ next, past }, page) =>
      Effect.succeed({
        next: { state: page.reduce(evolve, next.state), version: next.version + page.length, count: 0 },
        past: [{ ...next, count: page.length }, ...past]
      })
  )
  const backwards = ({ count, state, version }: Start) =>
    Effect.map(
      journal.readResource(resource, version, count),
      (page) => Chunk.unsafeFromArray(Arr.reverse(explained(state, page)[1]))
    )
  return Stream.fromIterableEffect(Effect.map(starts, ({ past }) => past)).pipe(
    Stream.mapEffect(backwards),
    Stream.flattenChunks
  )
}

/** The start of a page: the state and the version before it, and its number of events. */
interface Start {
  readonly state: State
  readonly version: number
  readonly count: number
}

/** The difference of each resource between two positions, in the order in which events first changed them. */
export const differences = (
  journal: Reads,
  from: Position,
  to: Position
): Effect.Effect<ReadonlyArray<Difference>, StorageError> => {
  const [first, last] = from <= to ? [from, to] : [to, from]
  /** Each read has its own turn of the event loop: it can be of a page. */
  const stateBefore = (event: RecordedEvent) =>
    Effect.zipRight(
      nextTurn,
      foldState(eventsOf(journal, event, event.version - 1), ({ version }) => version < event.version)
    )
  const touch = (touched: Map<string, Touched>, page: Page) =>
    Effect.gen(function*() {
      for (const event of page) {
        const { resourceId, resourceType, version } = event
        const key = resourceKey(event)
        let resource = touched.get(key)
        if (resource === undefined) {
          const before = version === 1 ? nothing : yield* stateBefore(event)
          resource = { name: { resourceId, resourceType } as Resource, before, after: before }
          touched.set(key, resource)
        }
        resource.after = evolve(resource.after, event)
      }
      return touched
    })
  return Effect.suspend(() =>
    fold(eventsBetween(journal, first, last), ({ position }) => position <= last, new Map<string, Touched>(), touch)
  ).pipe(
    Effect.map((touched) =>
      [...touched.values()].map(({ after, before, name }) =>
        from <= to ? differenceOf(name, before, after) : differenceOf(name, after, before)
      )
    )
  )
}

interface Touched {
  readonly name: Resource
  readonly before: State
  after: State
}
