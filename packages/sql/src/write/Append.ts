/** What happens inside the transaction: load what is touched, decide, append the events, project them. */
import {
  type Batch,
  type ClockJump,
  clockJumps,
  decideAll,
  decideInSteps,
  type IdempotencyConflict,
  mapInSteps,
  type Position,
  reads,
  type RecordedEvent,
  type Refusal,
  type RelayId,
  type RelayState,
  type State,
  stateOf,
  type TenantState,
  type Unit
} from "@caravel/domain"
import type { Tail } from "@caravel/pubsub"
import { Array, Effect, Either, HashMap, Option } from "effect"
import { Database } from "../database/Database.js"
import * as Epochs from "../schema/Epochs.js"
import { headOf } from "../schema/Head.js"
import type { Unreadable } from "../schema/Tables.js"
import { execute, inTurns, type Program, selectAll } from "../statement/StatementScript.js"
import * as IdempotencyKeys from "./IdempotencyKeys.js"

/** How much text a unit carries. */
export const characters = (unit: Unit): number => {
  let sum = 0
  for (const [command] of unit.commands) {
    for (const value of Object.values(command)) if (typeof value === "string") sum += value.length
  }
  return sum
}

/** What became of units. */
export interface Appended {
  /** The events that were recorded for them. */
  readonly recorded: ReadonlyArray<RecordedEvent>
  /** The answer to each: the events of those that repeat an earlier one are of that time. */
  readonly outcomes: ReadonlyArray<Either.Either<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict>>
  /** Where the recorded events' clocks went back. */
  readonly jumps: ReadonlyArray<ClockJump>
}

/** What is decided on: a state, and the end of the journal, after which events are recorded. */
export interface Loaded {
  readonly state: State
  readonly head: number
  /** The instant of the event there, and the latest of all, in milliseconds; `-Infinity` if there is none. */
  readonly previous: number
  readonly latest: number
}

/**
 * What writes events in a transaction: of commands, as units one after another, or of whoever decides on a loaded state.
 * Their number does not change that of the statements.
 */
export const make = (seen: () => Tail.Seen) =>
  Effect.zipWith(
    Database,
    IdempotencyKeys.make,
    ({ clockTolerance, dialect, rows }, idempotencyKeys) => {
      const lastAndSeen =
        `SELECT last.*, (SELECT id FROM caravel_event WHERE position = ?) FROM (${dialect.lastEvent}) last`
      const insertEvents = rows.event.insert()
      const tenantsOf = rows.tenant.select("pubkey")
      const relaysOf = rows.relay.select("id")
      const relaysAt = rows.relay.select("subdomain")
      const insertSecrets = rows.secret.insert()
      const write = dialect.writesEachRow ? "writeEach" : "upsert"
      const writeTenants = rows.tenant[write]("pubkey", ["createdAt"])
      const deleteSecrets = rows.secret.delete("id")
      const writeRelays = rows.relay[write]("id", ["tenant", "createdAt"])

      /** The state of what is named, as far as it is there, and where the journal ends. */
      function* load(touched: ReturnType<typeof reads>): Program<Either.Either<Loaded, Unreadable>> {
        const known = seen().last
        const [tenantRows, relayRows, [last = [0]]] = yield* selectAll(
          tenantsOf(touched.tenants),
          [...relaysOf(touched.relays), ...relaysAt(touched.subdomains)],
          [[lastAndSeen, [known?.position ?? 0], 1]]
        )
        const head = headOf([last])
        if (Either.isLeft(head)) return Either.left(head.left)
        // Nobody else appends from here on: whatever was broadcast must be there.
        if (head.right < seen().position || known !== undefined && last[3] !== known.id) throw Epochs.goneBack
        return Either.zipWith(
          yield* inTurns(mapInSteps(tenantRows, rows.tenant.decodeRow)),
          yield* inTurns(mapInSteps(relayRows, rows.relay.decodeRow)),
          (tenants, relays) => ({
            state: stateOf(tenants, relays),
            head: head.right,
            previous: millisOf(last[1]),
            latest: millisOf(last[2])
          })
        )
      }

      function* project(before: State, { droppedSecrets, events, secrets, state }: Batch): Program<void> {
        const tenants = new Map<string, TenantState>()
        const relays = new Map<string, RelayState>()
        for (const event of events) {
          if (event.resourceType === "tenant") {
            tenants.set(event.resourceId, HashMap.unsafeGet(state.tenants, event.resourceId))
          } else {
            relays.set(event.resourceId, HashMap.unsafeGet(state.relays, event.resourceId))
          }
        }
        const steps = [
          () => insertSecrets(secrets),
          ...inSteps([...tenants.values()]).map((some) => () =>
            writeTenants(some, ({ pubkey }) => Option.getOrUndefined(HashMap.get(before.tenants, pubkey)))
          ),
          () => [...deleteSecrets(droppedSecrets), ...rows.relay.vacate(exchanged(before, relays))],
          ...inSteps([...relays.values()]).map((some) => () => writeRelays(some, ({ id }) => storedRelay(before, id)))
        ]
        if (events.length <= stepSize) yield* execute(steps.flatMap((statements) => statements()))
        else for (const statements of steps) yield* execute(statements())
      }

      /** Has others who append wait, before anything is read that what follows is decided on. */
      function* lock(): Program<void> {
        if (dialect.lock !== undefined) yield* execute([[dialect.lock, [], 1]])
      }

      /** Writes what was decided on what was loaded. */
      function* record({ head, latest, state }: Loaded, batch: Batch): Program<ReadonlyArray<RecordedEvent>> {
        const recorded = batch.events.map((event, index): RecordedEvent => ({
          ...event,
          position: head + index + 1 as Position
        }))
        let before = latest
        for (const some of inSteps(recorded)) {
          yield* execute(insertEvents(some, before))
          for (const { createdAt } of some) before = Math.max(before, createdAt.epochMillis)
        }
        yield* project(state, batch)
        return recorded
      }

      /** Decides on the units that `remaining` returns once everything has been waited for: all of these, or some. */
      function* units(
        units: ReadonlyArray<Unit>,
        remaining: () => ReadonlyArray<Unit> = () => units
      ): Program<Either.Either<Appended, Unreadable | IdempotencyKeys.OutcomeMissing>> {
        yield* lock()
        const loaded = yield* load(reads(units.flatMap(({ commands }) => commands)))
        if (Either.isLeft(loaded)) return Either.left(loaded.left)
        const { state } = loaded.right
        const keys = units.some(hasKey) ? yield* idempotencyKeys.load(loaded.right, units) : noKeys
        if (Either.isLeft(keys)) return Either.left(keys.left)
        const { batch, decided } = yield* decideUnits(state, remaining(), keys.right)
        const recorded = yield* record(loaded.right, batch)
        if (keys.right !== undefined) yield* idempotencyKeys.store(keys.right, recorded)
        return Either.right({
          recorded,
          outcomes: decided.map(Either.map((answer) => answer(recorded))),
          jumps: clockJumps(recorded, loaded.right.previous, clockTolerance)
        })
      }

      return { load, lock, record, units }
    }
  )

/** So many rows are encoded at a time: that takes some milliseconds. */
const stepSize = 256

const inSteps = <A>(rows: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  rows.length <= stepSize ? [rows] : Array.chunksOf(rows, stepSize)

const storedRelay = ({ relays }: State, id: RelayId) => Option.getOrUndefined(HashMap.get(relays, id))

/** The relays whose subdomain another relay of the batch takes over. */
const exchanged = (before: State, relays: ReadonlyMap<string, RelayState>): ReadonlyArray<string> => {
  const moved: Array<RelayState> = []
  for (const { id, subdomain } of relays.values()) {
    const stored = storedRelay(before, id)
    if (stored !== undefined && stored.subdomain !== subdomain) moved.push(stored)
  }
  if (moved.length === 0 || relays.size === 1) return noneExchanged
  const taken = new Set<string>()
  for (const { subdomain } of relays.values()) taken.add(subdomain)
  return moved.flatMap(({ id, subdomain }) => taken.has(subdomain) ? [id] : [])
}

const noneExchanged: ReadonlyArray<string> = []

const millisOf = (instant: unknown) => instant === null || instant === undefined ? -Infinity : Number(instant)

const hasKey = ({ idempotencyKey }: Unit) => idempotencyKey !== undefined

const noKeys = Either.right(undefined)

interface Decided {
  readonly batch: Batch
  readonly decided: ReadonlyArray<Either.Either<IdempotencyKeys.Answer, Refusal | IdempotencyConflict>>
}

/** A refused unit leaves no trace in the state that the next one meets. */
function* decideUnits(
  before: State,
  units: ReadonlyArray<Unit>,
  keys: IdempotencyKeys.Keys | undefined
): Program<Decided> {
  let state = before
  let recorded = 0
  const accepted: Array<Batch> = []
  function* decide({ commands }: Unit): Program<Either.Either<IdempotencyKeys.Answer, Refusal>> {
    const decided = commands.length <= stepSize
      ? decideAll(state, commands)
      : yield* inTurns(decideInSteps(state, commands))
    return Either.map(decided, (batch) => {
      state = batch.state
      accepted.push(batch)
      const first = recorded
      const next = recorded += batch.events.length
      return (events) => events.slice(first, next)
    })
  }
  const decided: Array<Decided["decided"][number]> = []
  for (const unit of units) {
    decided.push(yield* keys === undefined ? decide(unit) : keys.decide(state, unit, () => decide(unit)))
  }
  const batch: Batch = {
    state,
    events: accepted.flatMap(({ events }) => events),
    secrets: accepted.flatMap(({ secrets }) => secrets),
    droppedSecrets: accepted.flatMap(({ droppedSecrets }) => droppedSecrets)
  }
  return { batch, decided }
}
