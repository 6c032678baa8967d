/** What happens inside the transaction: load what is touched, decide, append the events, project them. */
import {
  type Batch,
  decideAll,
  type Event,
  type Position,
  reads,
  type RecordedEvent,
  type Refusal,
  type RelayState,
  type State,
  stateOf,
  type StorageError,
  type TenantState,
  type Undecided
} from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, HashMap, Option } from "effect"
import { Database } from "./Database.js"
import { toStorageError } from "./SqlError.js"
import type { Statement } from "./Table.js"

/**
 * Commands that are accepted together or refused together.
 *
 * @since 0.1.0
 * @category models
 */
export type Unit = ReadonlyArray<Undecided>

/**
 * How much text a unit carries.
 *
 * @since 0.1.0
 * @category accessors
 */
export const characters = (unit: Unit): number => {
  let sum = 0
  for (const [command] of unit) {
    for (const value of Object.values(command)) if (typeof value === "string") sum += value.length
  }
  return sum
}

/** What became of a unit. */
type Outcome = Either.Either<ReadonlyArray<RecordedEvent>, Refusal>

/**
 * Writes units one after another on a transaction's connection. Their number does not change that of the statements.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(Database, ({ dialect, rows }) => {
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
    const touched = reads(units.flat())
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

  return (connection: Connection, units: ReadonlyArray<Unit>): Effect.Effect<ReadonlyArray<Outcome>, StorageError> =>
    Effect.gen(function*() {
      const before = yield* load(connection, units)
      const { batch, decided } = decideUnits(before, units)
      if (batch.events.length === 0) return decided.map(Either.map(() => []))
      const recorded = yield* append(connection, batch.events)
      yield* project(connection, before, batch)
      let next = 0
      return decided.map(Either.map((count) => recorded.slice(next, next += count)))
    }).pipe(Effect.mapError(toStorageError(dialect, "append")))
})

const selectAll = <A, E>(
  connection: Connection,
  statements: ReadonlyArray<Statement>,
  decode: (rows: ReadonlyArray<ReadonlyArray<unknown>>) => Either.Either<ReadonlyArray<A>, E>
): Effect.Effect<ReadonlyArray<A>, SqlError | E> =>
  statements.length === 0 ? none : Effect.flatMap(
    Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
    (pages) => decode(pages.flat())
  )

const none = Effect.succeed([])

/** A refused unit leaves no trace in the state that the next one meets. */
const decideUnits = (before: State, units: ReadonlyArray<Unit>) => {
  let state = before
  const accepted: Array<Batch> = []
  const decided = units.map((unit) =>
    Either.map(decideAll(state, unit), (batch) => {
      state = batch.state
      accepted.push(batch)
      return batch.events.length
    })
  )
  const batch: Batch = {
    state,
    events: accepted.flatMap(({ events }) => events),
    secrets: accepted.flatMap(({ secrets }) => secrets),
    droppedSecrets: accepted.flatMap(({ droppedSecrets }) => droppedSecrets)
  }
  return { batch, decided }
}
