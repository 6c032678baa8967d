/**
 * Callers that send commands at the same time, a transactional consumer, a transaction of the application, checkpoints
 * of the log, and a database that is closed and opened again.
 */
import { type Activity, ActivityFeed, Command, Journal, Query } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { SqlClient } from "@effect/sql/SqlClient"
import { Effect, Fiber, Layer, Stream } from "effect"
import { join } from "node:path"
import { must, mustBeSound, mustWork, pubkey, withDatabase } from "./Databases.js"
import { make, type Operation } from "./Operation.js"

const callers = 4
const sessions = 3
const commandsPerSession = 9
const leaseDuration = "200 millis"
const consumer = { name: "consumer", from: "beginning", transactional: true, leaseDuration } as const
const plainConsumer = { name: "plain", from: "beginning", leaseDuration } as const

/** The database of a load, in a directory that its first opening creates. */
export const filenameIn = (directory: string) => join(directory, "data", "caravel.db")

/** The command `n` of a caller. It is the same each time, so that it can be sent again with its key. */
const send = (caller: number, n: number) =>
  Effect.gen(function*() {
    const command = yield* Command
    const sql = yield* SqlClient
    const id = `${caller}-${Math.floor(n / 3)}`
    const infoDescription = id.repeat(1 + (n * 7919 + caller) % 600)
    const keyed = Command.withIdempotencyKey(`${caller}-${n}`)
    if (n % 3 === 1) return yield* keyed(command.updateRelay({ id, infoDescription }))
    if (n % 3 === 2) return yield* keyed(command.deactivateRelay({ id }))
    return yield* sql.withTransaction(
      Effect.tap(
        keyed(command.createRelay({ id, tenant: pubkey, subdomain: id, infoDescription })),
        ({ position }) => sql`INSERT OR IGNORE INTO note (position) VALUES (${position})`
      )
    )
  })

/** Lines that acknowledge nothing. Their writes are instants in a handler, at which the process can be killed. */
const inHandler = "handling"

const handle = ({ position }: Activity) =>
  Effect.flatMap(
    SqlClient,
    (sql) => sql`INSERT INTO handled (consumer, position) VALUES (${consumer.name}, ${position})`
  )

const handlePlainly = ({ position }: Activity) =>
  Effect.flatMap(
    SqlClient,
    (sql) => sql`INSERT INTO handled (consumer, position) VALUES (${plainConsumer.name}, ${position})`
  )

const setUp = Effect.gen(function*() {
  const sql = yield* SqlClient
  // SQLite would otherwise write to the database file only once it has been closed.
  yield* sql`PRAGMA wal_autocheckpoint = 20`
  yield* sql`CREATE TABLE IF NOT EXISTS note (position INTEGER PRIMARY KEY)`
  yield* sql`CREATE TABLE IF NOT EXISTS handled (
    id INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, position INTEGER NOT NULL
  )`
  yield* Command.withIdempotencyKey("tenant")((yield* Command).createTenant({ pubkey }))
})

const lineOf = (caller: number, n: number, { id, position }: Activity) => `${caller} ${n} ${position} ${id}`

const session = (number: number, count: number, acknowledge: (line: string) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    yield* setUp
    const sql = yield* SqlClient
    const seen = yield* Effect.fork(Stream.runDrain((yield* ActivityFeed).since(0)))
    yield* Effect.forEach(Array.from({ length: callers }, (_, caller) => caller), (caller) =>
      Effect.gen(function*() {
        for (let n = number * count; n < (number + 1) * count; n++) {
          yield* acknowledge(lineOf(caller, n, yield* send(caller, n)))
        }
        if (caller === 0) yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
      }), { concurrency: "unbounded" })
    for (const { name } of [consumer, plainConsumer]) {
      yield* Consumer.awaitPosition(name, yield* (yield* Journal).head)
    }
    yield* Fiber.interrupt(seen)
  }).pipe(Effect.provide(Layer.merge(
    Consumer.layer({ ...plainConsumer, handle: handlePlainly }),
    Consumer.layer({
      ...consumer,
      handle: (activity) => Effect.zipRight(handle(activity), acknowledge(`${inHandler} ${activity.position}`))
    })
  )))

/** Sends the last acknowledged command of each caller again, and the next one, whose outcome may be unknown. */
const resend = (acknowledged: ReadonlyArray<Acknowledged>) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    for (let caller = 0; caller < callers; caller++) {
      const last = acknowledged.filter((line) => line.caller === caller).at(-1)
      if (last !== undefined) {
        const head = yield* journal.head
        const again = yield* send(caller, last.n)
        yield* must(
          again.position === last.position && (yield* journal.head) === head,
          `the command ${last.n} of caller ${caller} was executed again, at ${again.position} after ${last.position}`
        )
      }
      yield* send(caller, last === undefined ? 0 : last.n + 1)
    }
  })

interface Acknowledged {
  readonly caller: number
  readonly n: number
  readonly position: number
  readonly id: string
}

const parse = (line: string): Acknowledged => {
  const [caller, n, position, id] = line.split(" ")
  return { caller: Number(caller), n: Number(n), position: Number(position), id: id! }
}

/** Whether the journal has all acknowledged commands, or with `isSuffixLost` all except for the last ones. */
const mustHave = (acknowledged: ReadonlyArray<Acknowledged>, isSuffixLost: boolean) =>
  Effect.gen(function*() {
    const activities = yield* (yield* Query).activity()
    const byPosition = new Map(activities.map(({ id, position }) => [position as number, id]))
    yield* must(new Set(byPosition.values()).size === byPosition.size, "the journal has an activity twice")
    const head = yield* (yield* Journal).head
    for (const { id, position } of acknowledged) {
      if (isSuffixLost && position > head) continue
      const found = byPosition.get(position)
      yield* must(found === id, `acknowledged at ${position}: ${id}; found: ${found}, with the head ${head}`)
    }
    return acknowledged.filter(({ position }) => position <= head)
  })

/** The positions that a consumer has handled, in its order. */
const handledBy = (name: string) =>
  Effect.flatMap(SqlClient, (sql) =>
    Effect.map(
      sql`SELECT position FROM handled WHERE consumer = ${name} ORDER BY id`.values,
      (rows) => rows.map(([position]) => Number(position))
    ))

/** The transactional consumer must handle each activity once, and the other one each at least once, in order. */
const mustBeHandled = Effect.gen(function*() {
  const sql = yield* SqlClient
  const positions = (yield* (yield* Query).activity()).map(({ position }) => position as number)
  const before = yield* handledBy(consumer.name)
  yield* must(before.every((position, n) => position === positions[n]), `handled before: ${before.join(" ")}`)
  // The process that was interrupted still has the leases.
  yield* sql`UPDATE caravel_lease SET owner = NULL`
  yield* Consumer.handleOnce({ ...consumer, handle })
  yield* Consumer.handleOnce({ ...plainConsumer, handle: handlePlainly })
  const after = yield* handledBy(consumer.name)
  yield* must(
    after.join() === positions.join(),
    `of ${positions.join()} the transactional consumer has handled ${after.join()}`
  )
  const plain = yield* handledBy(plainConsumer.name)
  yield* must(
    [...new Set(plain)].join() === positions.join(),
    `of ${positions.join()} the consumer has handled ${plain.join()}`
  )
})

/** The application's own writes must be there exactly for the commands of the same transactions. */
const mustBeNoted = Effect.gen(function*() {
  const sql = yield* SqlClient
  const rows = yield* sql`
    WITH created AS (SELECT position FROM caravel_event WHERE type = 'RelayCreated')
    SELECT position FROM created WHERE position NOT IN (SELECT position FROM note)
    UNION ALL SELECT position FROM note WHERE position NOT IN (SELECT position FROM created)`.values
  yield* must(rows.length === 0, `commands without their transaction's other writes, or these without: ${rows.join()}`)
})

/** The load on a database of one durability. With `isSuffixLost`, the last acknowledged commands may be lost. */
export const load = (synchronous: "full" | "normal", isSuffixLost: boolean, count = commandsPerSession): Operation =>
  make({
    title: `commands and a consumer, ${synchronous}`,
    prepare: () => Effect.void,
    run: (directory, acknowledge) =>
      Effect.forEach(
        Array.from({ length: sessions }, (_, n) => n),
        (n) => withDatabase(filenameIn(directory), session(n, count, acknowledge), { synchronous })
      ),
    check: (directory, lines) =>
      withDatabase(
        filenameIn(directory),
        Effect.gen(function*() {
          yield* mustBeSound
          const acknowledged = lines.filter((line) => !line.startsWith(inHandler)).map(parse)
          const kept = yield* mustHave(acknowledged, isSuffixLost)
          yield* setUp
          yield* mustBeNoted
          yield* mustBeHandled
          yield* resend(kept)
          yield* mustBeNoted
          yield* mustWork
          yield* mustBeHandled
          yield* mustBeSound
        })
      )
  })
