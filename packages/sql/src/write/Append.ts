/** The script of the writer's transaction: load what the commands touch, decide, append the events, project them. */
import {
  type ClockJump,
  type IdempotencyConflict,
  type Position,
  type RecordedEvent,
  type Refusal,
  type RelayId,
  type RelayState,
  type State,
  stateOf,
  type TenantState
} from "@caravel/domain"
import {
  type Batch,
  branded,
  clockJumps,
  decideAll,
  decideInSteps,
  mapInSteps,
  reads,
  resources,
  type Submission
} from "@caravel/domain/adapter"
import type { Tail } from "@caravel/pubsub"
import { Array as Arr, Effect, Either, HashMap, Option } from "effect"
import { Database } from "../database/Database.js"
import * as Epochs from "../schema/Epochs.js"
import { headOf } from "../schema/Head.js"
import type { Unreadable } from "../schema/Tables.js"
import type { Dialect } from "../statement/Dialect.js"
import { execute, inTurns, type ResultRows, selectAll, type StatementScript } from "../statement/StatementScript.js"
import * as IdempotencyKeys from "./IdempotencyKeys.js"
import * as PrecedingActivities from "./PrecedingActivities.js"

/** The results of submissions. */
export interface Appended {
  /** The events that were recorded for them. */
  readonly recorded: ReadonlyArray<RecordedEvent>
  /** The outcome of each submission. A repeated submission has the events of the first one. */
  readonly outcomes: ReadonlyArray<Either.Either<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict>>
  /** The recorded events that are earlier than the event before them. */
  readonly jumps: ReadonlyArray<ClockJump>
  /** The activities that other processes have committed before the recorded events, if they were loaded. */
  readonly preceding: Tail.Preceding | undefined
}

/** The state that commands are decided on, and the head of the journal, after which their events are recorded. */
export interface Loaded {
  readonly state: State
  readonly head: number
  /** The instant of the event at the head, and the latest of all, in milliseconds; `-Infinity` if there is none. */
  readonly previous: number
  readonly latest: number
  /** The activities that other processes have committed after the tail's position, if they were loaded. */
  readonly preceding: Tail.Preceding | undefined
}

type Tables = (typeof Database.Service)["tables"]

/**
 * Appends events in a transaction: those that submissions result in, or those that a caller decides on a loaded state.
 * The number of statements does not grow with the number of events.
 */
export const make = (seen: () => Tail.Seen) =>
  Effect.zipWith(
    Database,
    IdempotencyKeys.make,
    ({ clockTolerance, dialect, tables }, idempotencyKeys) => {
      const load = loading(dialect, tables, seen)
      const record = recording(dialect, tables)

      return {
        load,
        record,

        /** Makes other transactions that append wait. Must come before the state is loaded. */
        lock: () => execute(dialect.appendLock),

        /** Appends the events of submissions. It decides those that `remaining` returns after the state is loaded. */
        *appendAll(
          submissions: ReadonlyArray<Submission>,
          remaining: () => ReadonlyArray<Submission> = () => submissions
        ): StatementScript<Either.Either<Appended, Unreadable | IdempotencyKeys.OutcomeMissing>> {
          yield* execute(dialect.appendLock)
          const loaded = yield* load(
            reads(submissions.length === 1 ? submissions[0]!.commands : submissions.flatMap(commandsOf))
          )
          if (Either.isLeft(loaded)) return Either.left(loaded.left)
          const keys = submissions.some(hasKey) ? yield* idempotencyKeys.load(loaded.right, submissions) : noKeys
          if (Either.isLeft(keys)) return Either.left(keys.left)
          const { batch, decided } = yield* decideSubmissions(loaded.right.state, remaining(), keys.right)
          const recorded = yield* record(loaded.right, batch)
          if (keys.right !== undefined) yield* idempotencyKeys.store(keys.right, recorded)
          return Either.right({
            recorded,
            outcomes: decided.map(Either.map((answer) => answer(recorded))),
            jumps: clockJumps(recorded, loaded.right.previous, clockTolerance),
            preceding: loaded.right.preceding
          })
        }
      }
    }
  )

const loading = (dialect: Dialect, tables: Tables, seen: () => Tail.Seen) => {
  const columns = [
    "last.position",
    "last.created_at",
    "last.latest_at",
    "(SELECT id FROM caravel_event WHERE position = ?)"
  ]
  const activities = dialect.isServer ? PrecedingActivities.make(tables, columns) : undefined
  const selectLast = activities === undefined
    ? `SELECT ${columns.join(", ")} FROM (${dialect.lastEvent}) last`
    : activities.select(dialect.lastEvent)
  const tenantsOf = tables.tenant.select(resources.tenant.key)
  const relaysOf = tables.relay.select(resources.relay.key)
  const relaysAt = tables.relay.select("subdomain")

  /** Loads the tenants and relays that commands touch, if they exist, and the head of the journal. */
  return function* load(touched: ReturnType<typeof reads>): StatementScript<Either.Either<Loaded, Unreadable>> {
    const { last: known, position: after } = seen()
    const params = [known?.position ?? 0, ...activities?.params(after) ?? []]
    const [tenantRows, relayRows, lastRows] = yield* selectAll(
      tenantsOf(touched.tenants),
      [...relaysOf(touched.relays), ...relaysAt(touched.subdomains)],
      [[selectLast, params]]
    )
    const [last = [0]] = lastRows
    const [, createdAt, latestAt, idOfKnown] = last
    const head = headOf([last])
    if (Either.isLeft(head)) return Either.left(head.left)
    // No other process can append until this transaction ends: whatever was broadcast must be there.
    if (head.right < seen().position || known !== undefined && idOfKnown !== known.id) throw Epochs.goneBack
    const tenants = yield* decodeRows(tenantRows, tables.tenant)
    if (Either.isLeft(tenants)) return Either.left(tenants.left)
    const relays = yield* decodeRows(relayRows, tables.relay)
    if (Either.isLeft(relays)) return Either.left(relays.left)
    const preceding = activities?.decode(lastRows, { after, head: head.right })
    if (preceding !== undefined && Either.isLeft(preceding)) return Either.left(preceding.left)
    return Either.right({
      state: stateOf(tenants.right, relays.right),
      head: head.right,
      previous: millisOf(createdAt),
      latest: millisOf(latestAt),
      preceding: preceding?.right
    })
  }
}

const recording = (dialect: Dialect, tables: Tables) => {
  const insertEvents = tables.event.insert()
  const project = projecting(dialect, tables)

  /** Appends and projects the events of a batch that was decided on a loaded state. */
  return function* record(
    { head, latest, state }: Loaded,
    batch: Batch
  ): StatementScript<ReadonlyArray<RecordedEvent>> {
    const recorded = batch.events.map((event, index): RecordedEvent => ({
      position: branded<Position>(head + index + 1),
      ...event
    }))
    let before = latest
    for (const some of inSteps(recorded)) {
      yield* execute(insertEvents(some, before))
      for (const { createdAt } of some) before = Math.max(before, createdAt.epochMillis)
    }
    yield* project(state, batch)
    return recorded
  }
}

/**
 * A statement that sets the subdomain, which is unique, waits for every open transaction that has written a reference to
 * the relay, so it does so only for new subdomains.
 */
const upsertRelays = (tables: Tables) => {
  const { fixed, key } = resources.relay
  const upsert = tables.relay.upsert(key, fixed)
  const upsertInPlace = tables.relay.upsert(key, [...fixed, "subdomain"])
  return (relays: ReadonlyArray<RelayState>, before: (relay: RelayState) => RelayState | undefined) => {
    const [moved, kept] = Arr.partition(relays, (relay) => before(relay)?.subdomain === relay.subdomain)
    return [...upsert(moved), ...upsertInPlace(kept)]
  }
}

/** Writes the secrets and the changed resources of a batch. */
const projecting = (dialect: Dialect, tables: Tables) => {
  const { relay, tenant } = resources
  const write = dialect.writesEachRow ? "writeEach" : "upsert"
  const writeTenants = tables.tenant[write](tenant.key, tenant.fixed)
  const writeRelays = dialect.writesEachRow ? tables.relay.writeEach(relay.key, relay.fixed) : upsertRelays(tables)
  const insertSecrets = tables.secret.insert()
  const deleteSecrets = tables.secret.delete("id")

  return function* project(before: State, { droppedSecrets, events, secrets, state }: Batch): StatementScript<void> {
    const tenants = new Map<string, TenantState>()
    const relays = new Map<string, RelayState>()
    for (const event of events) {
      if (event.resourceType === "tenant") {
        tenants.set(event.resourceId, HashMap.unsafeGet(state.tenants, event.resourceId))
      } else {
        relays.set(event.resourceId, HashMap.unsafeGet(state.relays, event.resourceId))
      }
    }
    yield* execute(insertSecrets(secrets))
    for (const some of inSteps([...tenants.values()])) {
      yield* execute(writeTenants(some, ({ pubkey }) => Option.getOrUndefined(HashMap.get(before.tenants, pubkey))))
    }
    yield* execute(deleteSecrets(droppedSecrets))
    yield* execute(tables.relay.vacate(exchanged(before, relays)))
    for (const some of inSteps([...relays.values()])) {
      yield* execute(writeRelays(some, ({ id }) => storedRelay(before, id)))
    }
  }
}

/**
 * How many rows are encoded or decoded, and commands decided, before the event loop may take its turn: a few
 * milliseconds of work.
 */
const stepSize = 256

const inSteps = <A>(rows: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  rows.length > stepSize ? Arr.chunksOf(rows, stepSize) : rows.length > 0 ? [rows] : []

interface Decoding<A> {
  readonly decode: (rows: ResultRows) => Either.Either<ReadonlyArray<A>, Unreadable>
  readonly decodeRow: (row: ResultRows[number]) => Either.Either<A, Unreadable>
}

function* decodeRows<A>(
  rows: ResultRows,
  { decode, decodeRow }: Decoding<A>
): StatementScript<Either.Either<ReadonlyArray<A>, Unreadable>> {
  return rows.length <= stepSize ? decode(rows) : yield* inTurns(mapInSteps(rows, decodeRow))
}

const storedRelay = ({ relays }: State, id: RelayId) => Option.getOrUndefined(HashMap.get(relays, id))

/** The relays whose subdomain another relay of the batch takes over. */
const exchanged = (before: State, relays: ReadonlyMap<string, RelayState>): ReadonlyArray<string> => {
  if (relays.size < 2) return []
  const moved: Array<RelayState> = []
  for (const { id, subdomain } of relays.values()) {
    const stored = storedRelay(before, id)
    if (stored !== undefined && stored.subdomain !== subdomain) moved.push(stored)
  }
  if (moved.length === 0) return []
  const taken = new Set<string>()
  for (const { subdomain } of relays.values()) taken.add(subdomain)
  return moved.flatMap(({ id, subdomain }) => taken.has(subdomain) ? [id] : [])
}

const millisOf = (instant: unknown) => instant === null || instant === undefined ? -Infinity : Number(instant)

const commandsOf = ({ commands }: Submission) => commands

const hasKey = ({ idempotencyKey }: Submission) => idempotencyKey !== undefined

const noKeys = Either.right(undefined)

interface Decided {
  readonly batch: Batch
  readonly decided: ReadonlyArray<Either.Either<IdempotencyKeys.Answer, Refusal | IdempotencyConflict>>
}

/** Decides submissions one after another. A refused submission leaves the state unchanged for the next one. */
function* decideSubmissions(
  before: State,
  submissions: ReadonlyArray<Submission>,
  keys: IdempotencyKeys.Keys | undefined
): StatementScript<Decided> {
  const accepted = new Accepted(before)
  const decided: Array<Decided["decided"][number]> = []
  for (const submission of submissions) {
    decided.push(
      yield* keys === undefined
        ? accepted.decide(submission)
        : keys.decide(accepted.state, submission, () => accepted.decide(submission))
    )
  }
  return { batch: accepted.batch, decided }
}

/** The submissions that are accepted on a state, and the state that they leave. */
class Accepted {
  state: State
  private readonly batches: Array<Batch> = []
  private events = 0

  constructor(state: State) {
    this.state = state
  }

  *decide({ commands }: Submission): StatementScript<Either.Either<IdempotencyKeys.Answer, Refusal>> {
    const decided = commands.length <= stepSize
      ? decideAll(this.state, commands)
      : yield* inTurns(decideInSteps(this.state, commands))
    if (Either.isLeft(decided)) return Either.left(decided.left)
    const batch = decided.right
    this.state = batch.state
    this.batches.push(batch)
    const first = this.events
    const next = this.events += batch.events.length
    return Either.right((events) => events.slice(first, next))
  }

  /** What they write together. */
  get batch(): Batch {
    const { batches, state } = this
    return batches.length === 1 ? batches[0]! : {
      state,
      events: batches.flatMap(({ events }) => events),
      secrets: batches.flatMap(({ secrets }) => secrets),
      droppedSecrets: batches.flatMap(({ droppedSecrets }) => droppedSecrets)
    }
  }
}
