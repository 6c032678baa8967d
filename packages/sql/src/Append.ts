/** What happens inside the transaction: load what is touched, decide, append the events, project them. */
import {
  type Batch,
  decideAll,
  type Event,
  type IdempotencyConflict,
  type Position,
  reads,
  type RecordedEvent,
  type Refusal,
  type RelayState,
  type State,
  stateOf,
  type TenantState,
  type Unit
} from "@caravel/domain"
import { Effect, Either, HashMap, Option } from "effect"
import { Database } from "./Database.js"
import * as IdempotencyKeys from "./IdempotencyKeys.js"
import { execute, type Program, select } from "./Program.js"
import type { Unreadable } from "./Rows.js"

/**
 * How much text a unit carries.
 *
 * @since 0.1.0
 * @category accessors
 */
export const characters = (unit: Unit): number => {
  let sum = 0
  for (const [command] of unit.commands) {
    for (const value of Object.values(command)) if (typeof value === "string") sum += value.length
  }
  return sum
}

/**
 * What became of units.
 *
 * @since 0.1.0
 * @category models
 */
export interface Appended {
  /** The events that were recorded for them. */
  readonly recorded: ReadonlyArray<RecordedEvent>
  /** The answer to each: the events of those that repeat an earlier one are of that time. */
  readonly outcomes: ReadonlyArray<Either.Either<ReadonlyArray<RecordedEvent>, Refusal | IdempotencyConflict>>
}

/**
 * Writes units one after another, in a transaction. Their number does not change that of the statements.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.zipWith(Database, IdempotencyKeys.make, ({ dialect, rows }, idempotencyKeys) => {
  const insertEvents = rows.event.insert(dialect.returning)
  const tenantsOf = rows.tenant.select("pubkey")
  const relaysOf = rows.relay.select("id")
  const relaysAt = rows.relay.select("subdomain")
  const insertSecrets = rows.secret.insert()
  const upsertTenants = rows.tenant.upsert("pubkey", ["createdAt"])
  const deleteSecrets = rows.secret.delete("id")
  const deleteRelays = rows.relay.delete("id")
  // A relay that gets another subdomain is deleted first, so that it is inserted.
  const upsertRelays = rows.relay.upsert("id", ["tenant", "subdomain", "createdAt"])

  function* load(units: ReadonlyArray<Unit>): Program<Either.Either<State, Unreadable>> {
    const touched = reads(units.flatMap(({ commands }) => commands))
    const tenants = rows.tenant.decode(yield* select(tenantsOf(touched.tenants)))
    const relays = rows.relay.decode(yield* select([...relaysOf(touched.relays), ...relaysAt(touched.subdomains)]))
    return Either.zipWith(tenants, relays, stateOf)
  }

  function* append(events: ReadonlyArray<Event>): Program<ReadonlyArray<RecordedEvent>> {
    const recorded: Array<RecordedEvent> = []
    const statements = insertEvents(events)
    const results = yield* execute(statements)
    statements.forEach(([, , count], index) => {
      for (const position of dialect.positionsOf(results[index], count)) {
        recorded.push({ ...events[recorded.length]!, position: position as Position })
      }
    })
    return recorded
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
    // Relays that give up a subdomain make room first: they may exchange them.
    const moved = [...relays.values()].filter(({ id, subdomain }) =>
      Option.exists(HashMap.get(before.relays, id), (relay) => relay.subdomain !== subdomain)
    )
    yield* execute([
      ...insertSecrets(secrets),
      ...upsertTenants([...tenants.values()]),
      ...deleteSecrets(droppedSecrets),
      ...deleteRelays(moved.map(({ id }) => id)),
      ...upsertRelays([...relays.values()])
    ])
  }

  return function*(units: ReadonlyArray<Unit>): Program<Either.Either<Appended, Unreadable>> {
    const loaded = yield* load(units)
    if (Either.isLeft(loaded)) return Either.left(loaded.left)
    const before = loaded.right
    const keys = units.some(hasKey) ? yield* idempotencyKeys.load(before, units) : noKeys
    if (Either.isLeft(keys)) return Either.left(keys.left)
    const { batch, decided } = decideUnits(before, units, keys.right)
    const recorded = batch.events.length === 0 ? [] : yield* append(batch.events)
    yield* project(before, batch)
    if (keys.right !== undefined) yield* idempotencyKeys.store(keys.right, recorded)
    return Either.right({ recorded, outcomes: decided.map(Either.map((answer) => answer(recorded))) })
  }
})

const hasKey = ({ idempotencyKey }: Unit) => idempotencyKey !== undefined

const noKeys = Either.right(undefined)

/** A refused unit leaves no trace in the state that the next one meets. */
const decideUnits = (before: State, units: ReadonlyArray<Unit>, keys: IdempotencyKeys.Keys | undefined) => {
  let state = before
  let recorded = 0
  const accepted: Array<Batch> = []
  const decide = ({ commands }: Unit) =>
    Either.map(decideAll(state, commands), (batch): IdempotencyKeys.Answer => {
      state = batch.state
      accepted.push(batch)
      const first = recorded
      const next = recorded += batch.events.length
      return (events) => events.slice(first, next)
    })
  const decided = units.map((unit) => keys === undefined ? decide(unit) : keys.decide(state, unit, () => decide(unit)))
  const batch: Batch = {
    state,
    events: accepted.flatMap(({ events }) => events),
    secrets: accepted.flatMap(({ secrets }) => secrets),
    droppedSecrets: accepted.flatMap(({ droppedSecrets }) => droppedSecrets)
  }
  return { batch, decided }
}
