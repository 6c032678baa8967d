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
  type StorageError,
  type TenantState,
  type Unit
} from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Either, HashMap, Option } from "effect"
import { Database } from "./Database.js"
import * as IdempotencyKeys from "./IdempotencyKeys.js"
import { toStorageError } from "./SqlError.js"
import { selectAll } from "./Table.js"

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
 * Writes units one after another on a transaction's connection. Their number does not change that of the statements.
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

  const load = (connection: Connection, units: ReadonlyArray<Unit>) => {
    const touched = reads(units.flatMap(({ commands }) => commands))
    return Effect.zipWith(
      selectAll(connection, tenantsOf(touched.tenants), rows.tenant.decode),
      selectAll(connection, [...relaysOf(touched.relays), ...relaysAt(touched.subdomains)], rows.relay.decode),
      stateOf
    )
  }

  const append = (connection: Connection, events: ReadonlyArray<Event>) => {
    const recorded: Array<RecordedEvent> = []
    return Effect.as(
      Effect.forEach(
        insertEvents(events),
        ([text, params, count]) =>
          Effect.map(connection.executeRaw(text, params), (result) => {
            for (const position of dialect.positionsOf(result, count)) {
              recorded.push({ ...events[recorded.length]!, position: position as Position })
            }
          }),
        { discard: true }
      ),
      recorded
    )
  }

  const project = (connection: Connection, before: State, { droppedSecrets, events, secrets, state }: Batch) => {
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
    const statements = [
      ...insertSecrets(secrets),
      ...upsertTenants([...tenants.values()]),
      ...deleteSecrets(droppedSecrets),
      ...deleteRelays(moved.map(({ id }) => id)),
      ...upsertRelays([...relays.values()])
    ]
    return Effect.forEach(statements, ([text, params]) => connection.execute(text, params, undefined), {
      discard: true
    })
  }

  return (connection: Connection, units: ReadonlyArray<Unit>): Effect.Effect<Appended, StorageError> =>
    Effect.gen(function*() {
      const before = yield* load(connection, units)
      const keys = units.some(hasKey) ? yield* idempotencyKeys.load(connection, before, units) : undefined
      const { batch, decided } = decideUnits(before, units, keys)
      let recorded: ReadonlyArray<RecordedEvent> = []
      if (batch.events.length > 0) {
        recorded = yield* append(connection, batch.events)
        yield* project(connection, before, batch)
      }
      if (keys !== undefined) yield* idempotencyKeys.store(connection, keys, recorded)
      return { recorded, outcomes: decided.map(Either.map((answer) => answer(recorded))) }
    }).pipe(Effect.mapError(toStorageError(dialect, "append")))
})

const hasKey = ({ idempotencyKey }: Unit) => idempotencyKey !== undefined

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
