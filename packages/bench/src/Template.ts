/** Template databases. Caravel writes their first events, plain SQL the others. Each measurement gets a copy. */
import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import Database from "better-sqlite3"
import { Array as Arr, Clock, Effect } from "effect"
import * as fs from "node:fs/promises"
import { pubkey, relayId, tenants } from "./Input.js"

/** The contents of a database: tenants and relays are created, then relays are deactivated and activated in turn. */
export interface Contents {
  /** Either 0, or at least one for each tenant and relay. */
  readonly events: number
  readonly relays: number
}

/** How many events are inserted before yielding to the event loop. */
const chunk = 50_000

const numbered = `CREATE TEMPORARY TABLE numbered AS
  SELECT row_number() OVER (ORDER BY id) - 1 AS number, id, tenant, max(created_at) OVER () AS latest FROM caravel_relay`

/**
 * Inserts the changes from number `first` on, of the relays in turn, with increasing times. The driver binds all
 * numbers as reals.
 */
const insert = `WITH RECURSIVE change(number) AS (
    SELECT cast(:first AS INTEGER) UNION ALL SELECT number + 1 FROM change WHERE number < cast(:last AS INTEGER)
  ), made AS (
    SELECT change.number, relay.id, relay.tenant, relay.latest + change.number AS time,
      2 + change.number / cast(:relays AS INTEGER) AS version
    FROM change JOIN numbered AS relay ON relay.number = change.number % cast(:relays AS INTEGER)
  )
  INSERT INTO caravel_event
    (id, type, activity_type, tenant, resource_type, resource_id, resource_version, payload, metadata, created_at)
  SELECT
    printf('%08x-%04x-7%03x-8%03x-%012x', time >> 16, time & 65535, random() & 4095, random() & 4095,
      random() & 281474976710655),
    iif(version % 2 = 0, 'RelayDeactivated', 'RelayActivated'),
    iif(version % 2 = 0, 'deactivate_relay', 'activate_relay'),
    tenant, 'relay', id, version,
    iif(version % 2 = 0, '{"status":"inactive"}', '{"status":"active"}'),
    '{}', time
  FROM made ORDER BY number`

const project = `UPDATE caravel_relay SET (version, status) = (
    SELECT resource_version, payload ->> 'status' FROM caravel_event
    WHERE resource_id = caravel_relay.id AND resource_type = 'relay' ORDER BY resource_version DESC LIMIT 1
  )`

/** Creates the tenants and this number of relays. */
export const creations = (relays: number): Effect.Effect<void, never, Command> =>
  Effect.gen(function*() {
    const command = yield* Command
    yield* Effect.forEach(Arr.range(0, tenants - 1), (index) => command.createTenant({ pubkey: pubkey(index) }))
    yield* Effect.forEach(
      Arr.range(0, relays - 1),
      (index) =>
        command.createRelay({ id: relayId(index), tenant: pubkey(index % tenants), subdomain: relayId(index) }),
      { concurrency: 256, discard: true }
    )
  }).pipe(Effect.orDie)

/** Makes a database file with these contents. */
export const make = (filename: string, { events, relays }: Contents): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* Effect.provide(events === 0 ? Effect.void : creations(relays), Sqlite.layer({ filename })).pipe(
      Effect.withClock(clockBehind(events))
    )
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => new Database(filename)),
      (db) => Effect.sync(() => db.close())
    )
    db.pragma("synchronous = OFF")
    db.exec(numbered)
    const statement = db.prepare(insert)
    const changes = Math.max(0, events - tenants - relays)
    for (let first = 0; first < changes; first += chunk) {
      yield* Effect.sync(() => statement.run({ first, last: Math.min(first + chunk, changes) - 1, relays }))
      yield* Effect.yieldNow()
    }
    db.exec(project)
    db.pragma("wal_checkpoint(TRUNCATE)")
  }).pipe(Effect.scoped, Effect.orDie)

/**
 * A clock in the past. The inserted changes are a millisecond apart, and new ids must sort after all of them, as in
 * real use.
 */
const clockBehind = (millis: number): Clock.Clock => {
  const clock = Clock.make()
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() - millis,
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() - BigInt(millis) * 1_000_000n,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - millis),
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now - BigInt(millis) * 1_000_000n),
    sleep: (duration) => clock.sleep(duration)
  }
}

/**
 * Copies a database that no process has open. The copy is flushed to disk first, so that its write-back is not
 * measured.
 */
export const copy = (from: string, to: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    await fs.copyFile(from, to)
    const file = await fs.open(to, "r+")
    await file.sync()
    await file.close()
  })

/** Removes a database and SQLite's files next to it. */
export const remove = (filename: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    for (const suffix of ["", "-wal", "-shm"]) await fs.rm(filename + suffix, { force: true })
  })
