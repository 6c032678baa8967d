/** The journal's events as streams that read a page at a time, and what follows from them. */
import { Array, Chunk, Effect, Option, type Predicate, Stream } from "effect"
import type { Position } from "../Activity.js"
import { stateOf } from "../Batch.js"
import { type Difference, differenceOf, entryOf, type HistoryEntry } from "../Change.js"
import type { StorageError } from "../CommandError.js"
import { evolve, type State } from "../Decider.js"
import type { RecordedEvent } from "../Event.js"
import type { Journal } from "../Journal.js"
import type { Resource } from "../Resource.js"
import type { Pubkey } from "../Tenant.js"

type Reads = typeof Journal.Service
type Events = Stream.Stream<RecordedEvent, StorageError>

const pageSize = 1000

/** The state before anything has happened. */
export const nothing: State = stateOf([], [])

const paged = <Cursor>(
  first: Cursor,
  read: (after: Cursor, limit: number) => Effect.Effect<ReadonlyArray<RecordedEvent>, StorageError>,
  cursorOf: (event: RecordedEvent) => Cursor
): Events =>
  Stream.paginateChunkEffect({ after: first, isFirst: true }, ({ after, isFirst }) =>
    // Fibers alone go on in microtasks: between pages timers and sockets get their turn too.
    Effect.zipRight(isFirst ? Effect.void : Effect.sleep(0), read(after, pageSize)).pipe(
      Effect.map((page) => [
        Chunk.unsafeFromArray(page),
        Option.map(
          Option.filter(Chunk.last(Chunk.unsafeFromArray(page)), () => page.length === pageSize),
          (last) => ({ after: cursorOf(last), isFirst: false })
        )
      ])
    ))

/** The events after a position, up to another one. */
export const eventsIn = (journal: Reads, after: Position, upTo: Position): Events =>
  Stream.takeWhile(
    paged(after, journal.read, ({ position }) => position),
    ({ position }) => position <= upTo
  )

/** The events of a resource, oldest first. */
export const eventsOf = (journal: Reads, resource: Resource): Events =>
  paged(0, (after, limit) => journal.readResource(resource, after, limit), ({ version }) => version)

/** The state of a resource after those of its first events that pass. */
export const stateOfResource = (journal: Reads, resource: Resource, passes: Predicate.Predicate<RecordedEvent>) =>
  Stream.runFold(Stream.takeWhile(eventsOf(journal, resource), passes), nothing, evolve)

/** The activities among the events of a tenant and its relays, oldest first. */
export const activitiesOf = (journal: Reads, tenant: Pubkey): Events =>
  paged(0 as Position, (after, limit) => journal.readTenant(tenant, after, limit), ({ position }) => position)

const explained = (before: State, event: RecordedEvent): readonly [State, HistoryEntry] => {
  const after = evolve(before, event)
  return [after, entryOf(before, event, after)]
}

/** A resource's events after a version, with what each changed. */
export const oldestFirst = (journal: Reads, resource: Resource, after = 0) =>
  eventsOf(journal, resource).pipe(
    Stream.mapAccum(nothing, explained),
    Stream.dropWhile(({ event }) => event.version <= after)
  )

/**
 * The same backwards, before a version. What a field was before stands in an earlier event, perhaps in the first: so the
 * pages are read forwards once, for the state that each begins with, and then backwards.
 */
export const newestFirst = (journal: Reads, resource: Resource, before = Infinity) =>
  eventsOf(journal, resource).pipe(
    Stream.takeWhile(({ version }) => version < before),
    Stream.chunks,
    Stream.mapAccum({ state: nothing, version: 0 }, (start, page) => [
      { state: Chunk.reduce(page, start.state, evolve), version: start.version + page.length },
      { ...start, count: page.length }
    ]),
    Stream.runCollect,
    Effect.map((starts) =>
      Stream.fromChunk(Chunk.reverse(starts)).pipe(
        Stream.mapEffect(({ count, state, version }) =>
          Effect.map(
            journal.readResource(resource, version, count),
            (page) => Chunk.unsafeFromArray(Array.reverse(Array.mapAccum(page, state, explained)[1]))
          )
        ),
        Stream.flattenChunks
      )
    ),
    Stream.unwrap
  )

/**
 * What became of each resource from one position to another, in the order in which they were first touched between them.
 */
export const differences = (
  journal: Reads,
  from: Position,
  to: Position
): Effect.Effect<ReadonlyArray<Difference>, StorageError> =>
  Effect.gen(function*() {
    const touched = new Map<string, Touched>()
    const [first, last] = from <= to ? [from, to] : [to, from]
    yield* Stream.runForEach(eventsIn(journal, first, last), (event) =>
      Effect.gen(function*() {
        const { resourceId, resourceType, version } = event
        const key = `${resourceType} ${resourceId}`
        let resource = touched.get(key)
        if (resource === undefined) {
          const before = yield* stateOfResource(journal, event, (earlier) => earlier.version < version)
          resource = { name: { resourceId, resourceType } as Resource, before, after: before }
          touched.set(key, resource)
        }
        resource.after = evolve(resource.after, event)
      }))
    return Array.map([...touched.values()], ({ after, before, name }) =>
      from <= to ? differenceOf(name, before, after) : differenceOf(name, after, before))
  })

interface Touched {
  readonly name: Resource
  readonly before: State
  after: State
}
