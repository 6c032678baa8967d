/** Notices other processes' commits, and notifies them of this one's. */
import { Position, type StorageError } from "@caravel/domain"
import { makeClockReport } from "@caravel/domain/adapter"
import { Backoff, Tail } from "@caravel/pubsub"
import type { SqlError } from "@effect/sql/SqlError"
import { Duration, Effect, Either, Layer, Metric, Random, Schedule, Schema } from "effect"
import { Database } from "../database/Database.js"
import * as Watch from "../database/Watch.js"
import { clockOffset } from "../statement/ClockOffset.js"
import { PreparedStatements } from "./Pipeline.js"
import * as PostgresConnection from "./PostgresConnection.js"
import type { Opened } from "./PostgresDatabase.js"
import { serverTime } from "./PostgresDialect.js"
import type { Options } from "./PostgresOptions.js"

/** How often to poll in addition to notifications: one may be lost with its connection. */
const fallbackPoll = Duration.seconds(2)

/** How often to poll without notifications. */
const poll = Duration.millis(200)

/** The shortest time between two notifications: each covers all commits before it. */
const debounce = Duration.millis(3)

/**
 * How long a notification may wait for a commit of this process, whose transaction loads what others have committed. A
 * process that writes then hardly ever reads it separately: four processes with a caller each run 1.4 times as many
 * commands.
 */
const untilCommitted = Duration.millis(10)

/** How often to check that the listening connection is alive. */
const keepAlive = Duration.seconds(5)

/** How often this process's clock is compared with the server's. */
const clockCheck = Duration.minutes(1)

/** What wakes the tail: a notification, the start of listening, or the poll. */
type WakeUp = "notification" | "listen" | "poll"

const wakeUpsCounter = Metric.counter("caravel_tail_wakeups_total", {
  description: "times that the tail was woken by other processes' commits, by what woke it",
  incremental: true
})

const polling = "PostgreSQL: looking for others' commits"

/** Runs in a transaction of its own, which need not wait for the disk. */
const notifyOthers = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"

const decodeOid = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Schema.Int)))
const decodeNothing = () => Effect.void
const decodePosition = Schema.decodeEither(Schema.compose(Schema.NumberFromString, Position))

/**
 * Wakes the tail on notifications and by a slow poll, or only by a fast poll. The tail then reads what is committed
 * after its position. Waits in real time, even under a `TestClock`.
 */
export const layer = (
  { config, isCommitting }: Opened,
  { wakeUps }: Options
): Layer.Layer<never, StorageError, Database | Tail.Tail> =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const { clockTolerance, readCommitted } = yield* Database
    const tail = yield* Tail.Tail

    // Listening again, a notification and the poll may wake the tail at once: a commit counts for the first that sees it.
    let counted = -1
    const wake = (source: WakeUp) =>
      Effect.gen(function*() {
        const before = yield* tail.position
        yield* tail.advanceToHead
        const position = yield* tail.position
        if (position <= Math.max(before, counted)) return
        counted = position
        yield* Metric.increment(Metric.tagged(wakeUpsCounter, "source", source))
      })

    const pollEvery = (every: Duration.Duration): Effect.Effect<never> =>
      Random.nextRange(0.75, 1.25).pipe(
        Effect.flatMap((jitter) => Effect.sleep(Duration.times(every, jitter))),
        Effect.zipRight(wake("poll")),
        Effect.forever
      )

    const report = makeClockReport()
    // Compares the clock that commands are decided with, which may not be the real one.
    const offset = clockOffset(readCommitted("clock", serverTime, [], Effect.succeed), clockTolerance).pipe(
      Effect.withClock(yield* Effect.clock)
    )
    const compareClocks = Watch.run(
      "PostgreSQL: comparing clocks",
      offset.pipe(Effect.flatMap(report), Effect.ignore, Effect.zipRight(Effect.sleep(clockCheck)), Effect.forever)
    )

    if (wakeUps === "poll") {
      return yield* Effect.zipRight(compareClocks, Watch.run(polling, pollEvery(poll)))
    }

    // The journal's own channel: a database may hold several journals.
    const [[oid]] = yield* readCommitted("watch", "SELECT 'caravel_event'::regclass::oid", [], decodeOid)
    const channel = `caravel_${oid}`
    // After that, so that both use the same connection.
    yield* compareClocks

    const notified = yield* Effect.makeLatch()
    let heardOf = 0

    // Listens, and notifies others: it needs no connection of a pool, and the server prepares the statement.
    let listener: PostgresConnection.PostgresConnection | undefined

    const listen = Effect.scoped(Effect.gen(function*() {
      const connection = yield* PostgresConnection.connect(config, "all", new PreparedStatements())
      yield* Effect.addFinalizer(() => Effect.sync(() => listener = undefined))
      connection.client.on("notification", ({ payload }) => {
        heardOf = Math.max(heardOf, Either.getOrElse(decodePosition(payload ?? ""), () => Number.MAX_SAFE_INTEGER))
        notified.unsafeOpen()
      })
      yield* connection.executeRaw(`LISTEN ${channel}`, [])
      listener = connection
      // Other processes may have committed before LISTEN.
      yield* wake("listen")
      const alive = Effect.repeat(connection.executeRaw("SELECT 1", []), Schedule.spaced(keepAlive))
      return yield* Effect.raceFirst(connection.end, alive)
    }))

    const readOthers = Effect.gen(function*() {
      yield* notified.await
      yield* notified.close
      // The tail has already read this process's commits.
      const isNews = Effect.map(tail.position, (position) => heardOf > position)
      if (isCommitting() && (yield* isNews)) {
        yield* Effect.ignore(Effect.timeoutOption(tail.awaitAfter(Position.make(heardOf - 1)), untilCommitted))
      }
      if (yield* isNews) yield* wake("notification")
    })

    const notify = yield* notifying((position) => {
      const params = [channel, String(position)]
      return listener === undefined
        ? readCommitted("notify", notifyOthers, params, decodeNothing)
        : listener.send([[notifyOthers, params]])
    })

    const listening = Effect.forever(Effect.retry(listen, Backoff.untilReconnected))
    yield* Watch.run("PostgreSQL: listening for others' commits", listening)
    yield* Watch.run("PostgreSQL: reading others' commits", Effect.forever(readOthers))
    yield* Watch.run("PostgreSQL: notifying others of commits", Effect.forever(notify))
    yield* Watch.run(polling, pollEvery(fallbackPoll))
  }))

/** Notifies others after each commit of this process, and of the last commits when the scope closes. */
const notifying = (send: (position: Position) => Effect.Effect<unknown, StorageError | SqlError>) =>
  Effect.gen(function*() {
    const { commitSignal } = yield* Database
    const tail = yield* Tail.Tail
    let notifiedUpTo = yield* tail.position
    const notify = Effect.gen(function*() {
      const position = yield* tail.position
      if (position === notifiedUpTo) return
      // Other processes notice the commits by polling if this fails.
      yield* Effect.ignore(send(position))
      notifiedUpTo = position
    })
    // The fiber that notifies is interrupted first, perhaps while it notifies.
    yield* Effect.addFinalizer(() => notify)
    // @effect-diagnostics-next-line returnEffectInGen:off
    return Effect.gen(function*() {
      yield* commitSignal.await
      yield* commitSignal.close
      yield* notify
      yield* Effect.sleep(debounce)
    })
  })
