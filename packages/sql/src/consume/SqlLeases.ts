/** Leases in the table `caravel_lease`. */
import type { ConsumerStore } from "@caravel/pubsub"
import { Array as Arr, Effect, Option, Struct } from "effect"
import type { Database } from "../database/Database.js"
import { leaseFields } from "../schema/ConsumerTables.js"
import * as Table from "../statement/Table.js"
import { type ConsumerWrites, run } from "./ConsumerWrites.js"

const holding = Table.make("caravel_lease", Struct.pick(leaseFields, "fence", "heartbeat", "owner"))

const find = `SELECT ${holding.columns()} FROM caravel_lease WHERE consumer = ? AND task = ?`
const acquire = `UPDATE caravel_lease SET fence = fence + 1, owner = ?
  WHERE consumer = ? AND task = ? AND fence = ? AND heartbeat = ? RETURNING fence`
const release = `UPDATE caravel_lease SET owner = NULL WHERE consumer = ? AND task = ? AND fence = ?`

/** The leases in a database. */
export const make = (
  { readCommitted }: typeof Database.Service,
  { fenced, write }: ConsumerWrites
): ConsumerStore.Leases => ({
  holding: (name, task) => Effect.map(readCommitted("Leases.holding", find, [name, task], holding.decode), Arr.head),
  acquire: (name, task, { fence, heartbeat }, owner) =>
    write("Leases.acquire", (connection) =>
      Effect.map(
        connection.executeValues(acquire, [owner, name, task, fence, heartbeat]),
        ([row]) => Option.map(Option.fromNullable(row), ([fence]) => ({ consumer: name, task, fence: Number(fence) }))
      )),
  // Every fenced write renews the lease.
  renew: (lease) => fenced("Leases.renew", lease, () => Effect.void),
  release: ({ consumer, fence, task }) =>
    write("Leases.release", (connection) => run(connection, release, [consumer, task, fence]))
})
