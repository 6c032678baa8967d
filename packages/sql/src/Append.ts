/** What happens inside the transaction: load what is touched, decide, append the events, project them. */
import {
  type Batch,
  decideAll,
  type Event,
  Position,
  reads,
  type RecordedEvent,
  type Refusal,
  type State,
  stateOf,
  type StorageError,
  type Undecided
} from "@caravel/domain"
import { TransactionConnection } from "@effect/sql/SqlClient"
import { Array, Effect, Either, HashMap, Option, Schema } from "effect"
import { Database } from "./Database.js"
import { toStorageError } from "./SqlError.js"

/**
 * Commands that are accepted together or refused together.
 *
 * @since 0.1.0
 * @category models
 */
export type Unit = ReadonlyArray<Undecided>

/** What became of a unit. */
type Outcome = Either.Either<ReadonlyArray<RecordedEvent>, Refusal>

const Positions = Schema.Array(Schema.Struct({ position: Position }))

/**
 * Writes units one after another in the transaction of the context. Their number does not change that of the statements.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(Database, ({ dialect, rows }) => {
  const { elements } = dialect
  const loadTenants = `SELECT ${rows.tenant.columns()} FROM tenant WHERE pubkey IN (${elements})`
  const loadRelays = `SELECT ${rows.relay.columns()} FROM relay WHERE id IN (${elements})
    UNION SELECT ${rows.relay.columns()} FROM relay WHERE subdomain IN (${elements})`
  const insertEvents = `${rows.event.insert} RETURNING position`
  const insertSecrets = rows.secret.insert
  const upsertTenants = rows.tenant.upsert("pubkey")
  const deleteSecrets = `DELETE FROM secret WHERE id IN (${elements})`
  const deleteRelays = `DELETE FROM relay WHERE id IN (${elements})`
  const upsertRelays = rows.relay.upsert("id")

  const execute = (statement: string, params: ReadonlyArray<unknown>) =>
    Effect.flatMap(TransactionConnection, ([connection]) => connection.execute(statement, params, undefined))
  const executeAll = <A, E>(
    statement: string,
    values: ReadonlyArray<A>,
    encode: (values: ReadonlyArray<A>) => Effect.Effect<string, E>
  ) =>
    Array.isEmptyReadonlyArray(values)
      ? Effect.void
      : Effect.flatMap(encode(values), (json) => execute(statement, [json]))
  const strings = (values: ReadonlyArray<string>) => Effect.succeed(JSON.stringify(values))

  const load = (units: ReadonlyArray<Unit>) => {
    const { relays, subdomains, tenants } = reads(units.flat())
    return Effect.zipWith(
      tenants.length === 0
        ? Effect.succeed([])
        : Effect.flatMap(execute(loadTenants, [JSON.stringify(tenants)]), rows.tenant.decode),
      relays.length === 0
        ? Effect.succeed([])
        : Effect.flatMap(execute(loadRelays, [JSON.stringify(relays), JSON.stringify(subdomains)]), rows.relay.decode),
      stateOf
    )
  }

  const append = (events: ReadonlyArray<Event>) =>
    rows.event.encode(events).pipe(
      Effect.flatMap((json) => execute(insertEvents, [json])),
      Effect.flatMap(Schema.decodeUnknown(Positions)),
      // The rows come back in no promised order, but they were inserted in this one.
      Effect.map((inserted) => inserted.map(({ position }) => position).sort((a, b) => a - b)),
      Effect.map((positions) =>
        events.map((event, index): RecordedEvent => ({ ...event, position: Position.make(positions[index]!) }))
      )
    )

  const project = (before: State, { droppedSecrets, events, secrets, state }: Batch) => {
    const tenants = new Set<string>()
    const relays = new Set<string>()
    for (const event of events) (event.resourceType === "tenant" ? tenants : relays).add(event.resourceId)
    const changedTenants = [...HashMap.values(state.tenants)].filter(({ pubkey }) => tenants.has(pubkey))
    const changedRelays = [...HashMap.values(state.relays)].filter(({ id }) => relays.has(id))
    // Relays that give up a subdomain make room first: they may exchange them.
    const moved = changedRelays.filter(({ id, subdomain }) =>
      Option.exists(HashMap.get(before.relays, id), (relay) => relay.subdomain !== subdomain)
    )
    return Effect.all([
      executeAll(insertSecrets, secrets, rows.secret.encode),
      executeAll(upsertTenants, changedTenants, rows.tenant.encode),
      executeAll(deleteSecrets, droppedSecrets, strings),
      executeAll(deleteRelays, moved.map(({ id }) => id), strings),
      executeAll(upsertRelays, changedRelays, rows.relay.encode)
    ], { discard: true })
  }

  return (units: ReadonlyArray<Unit>): Effect.Effect<ReadonlyArray<Outcome>, StorageError, TransactionConnection> =>
    Effect.gen(function*() {
      const before = yield* load(units)
      const { batch, decided } = decideUnits(before, units)
      if (batch.events.length === 0) return decided.map(Either.map(() => []))
      const recorded = yield* append(batch.events)
      yield* project(before, batch)
      let next = 0
      return decided.map(Either.map((count) => recorded.slice(next, next += count)))
    }).pipe(Effect.mapError(toStorageError(dialect, "append")))
})

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
