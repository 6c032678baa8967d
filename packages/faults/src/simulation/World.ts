/** The processes of a simulation: databases that are open, and what is read from them. */
import { ActivityFeed, Command, History as Past, Journal, Position, Query } from "@caravel/domain"
import type { Activity, StorageError } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Consumer, ConsumerStore } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import Database from "better-sqlite3"
import { Clock, Context, Effect, Exit, Fiber, Layer, type Queue, Scope } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import type { History } from "./History.js"
import type { SimulatedHost } from "./SimulatedHost.js"
import { Process } from "./SimulatedHost.js"

/** What a program uses of an open database. */
export interface Services {
  readonly command: typeof Command.Service
  readonly query: typeof Query.Service
  readonly past: typeof Past.Service
  readonly feed: typeof ActivityFeed.Service
  readonly journal: typeof Journal.Service
  readonly consumer: typeof Consumer.Consumer.Service
  readonly sql: SqlClient | undefined
}

/** A layer of the services. */
export type Opened = Layer.Layer<Command | Query | Past | ActivityFeed | Journal | Consumer.Consumer, StorageError>

/** Where the templates of a directory are. */
export const templateOf = (directory: string, isLong: boolean): string =>
  join(directory, isLong ? "template-long.db" : "template.db")

/** Creates the files that each simulation on SQLite starts with a copy of: an empty journal, and a long one. */
export const createTemplates = async (directory: string): Promise<void> => {
  for (const isLong of [false, true]) {
    const filename = templateOf(directory, isLong)
    const written = Effect.flatMap(Command, ({ submit }) => isLong ? inThePast(submit(longHistory)) : Effect.void)
    await Effect.runPromise(Effect.provide(written, Sqlite.layer({ filename, synchronous: "normal" })))
    const database = new Database(filename)
    database.exec("CREATE TABLE sim_note (text TEXT NOT NULL)")
    database.exec("CREATE TABLE sim_effect (consumer TEXT NOT NULL, position INTEGER NOT NULL)")
    database.close()
  }
}

/** The long journal was written before the simulation starts. */
const longAgo = Date.UTC(2025, 0, 1)

const inThePast = Effect.withClock(
  Object.assign(Object.create(Clock.make()) as Clock.Clock, {
    unsafeCurrentTimeMillis: () => longAgo,
    currentTimeMillis: Effect.succeed(longAgo)
  })
)

/** More activities than a tail reads at its start. */
const longHistory = [
  { _tag: "CreateTenant", pubkey: "d".repeat(64) } as const,
  { _tag: "CreateRelay", id: "old", tenant: "d".repeat(64), subdomain: "old" } as const,
  ...Array.from({ length: 80 }, (_, index) => ({ _tag: "UpdateRelay", id: "old", infoName: `name ${index}` }) as const)
]

/** A copy of the template. */
export const copyTemplate = (template: string, filename: string): void => fs.copyFileSync(template, filename)

/** Removes a database, its log and its backup. */
export const removeFiles = (filename: string): void => {
  for (const suffix of ["", "-wal", "-shm", ".backup"]) fs.rmSync(`${filename}${suffix}`, { force: true })
}

/** Services in memory, with an empty journal or a long one. `use` is called with the storage of the consumers. */
export const memory = async (
  isLong: boolean,
  use: (store: ConsumerStore.ConsumerStore["Type"]) => void
): Promise<Opened> =>
  Layer.provideMerge(
    Layer.effectDiscard(Effect.map(ConsumerStore.ConsumerStore, use)),
    isLong ? await longMemory() : Memory.layer
  )

const longMemory = async () => {
  const journal = Effect.zipRight(
    Effect.flatMap(Command, ({ submit }) => inThePast(submit(longHistory))),
    Effect.flatMap(Journal, ({ read }) => read(Position.make(0), longHistory.length))
  )
  const recorded = await Effect.runPromise(Effect.provide(journal, Memory.layer))
  return Memory.layerWith({ events: recorded })
}

export const sqlite = (filename: string): Layer.Layer<Layer.Layer.Success<Opened> | SqlClient, StorageError> =>
  Sqlite.layer({ filename, synchronous: "normal" })

/** A process that opens the database, closes it and opens it again. */
export class Node {
  readonly process: Process
  /** The services while the database is open. */
  services: Services | undefined
  /** The last position when the database had been opened; undefined until then. */
  openedAt: number | undefined
  /** What this process has broadcast since it opened the database. */
  readonly broadcast = new Set<string>()
  /** The fibers that use the services and must end before they close. */
  private readonly dependents = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  private scope: Scope.CloseableScope | undefined
  private live: Queue.Dequeue<Activity> | undefined
  private readonly host: SimulatedHost
  private readonly layer: Opened
  private readonly wrap: (services: Services) => Services

  constructor(index: number, options: {
    readonly host: SimulatedHost
    readonly layer: Opened
    readonly wrap: (services: Services) => Services
  }) {
    this.process = new Process(`node ${index}`)
    this.host = options.host
    this.layer = options.layer
    this.wrap = options.wrap
  }

  /** Runs an effect on this process's scheduler. */
  readonly on = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withScheduler(effect, this.host.schedulerOf(this.process))

  /** Forks an effect that is interrupted before the database is closed. */
  fork<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Fiber.RuntimeFiber<A, E>> {
    return Effect.tap(this.on(Effect.forkDaemon(effect)), (fiber) =>
      Effect.sync(() => {
        this.dependents.add(fiber)
        fiber.addObserver(() => this.dependents.delete(fiber))
      }))
  }

  /** Opens the database. The clock stands still while the real host has work to do for it. */
  readonly open: Effect.Effect<void, StorageError> = Effect.suspend(() => {
    const { host } = this
    const { patience } = host
    host.beginWaiting()
    // From then on it may also wait until another process releases its lock, for which the clock must move.
    host.onConnection = () => {
      host.patience = 20
    }
    const opened = Effect.sync(() => {
      host.endWaiting()
      host.onConnection = () => {}
      host.patience = patience
    })
    return this.on(
      Effect.gen(this, function*() {
        const scope = yield* Scope.make()
        const built: Context.Context<any> = yield* Effect.onError(
          Layer.buildWithScope(this.layer, scope),
          () => Scope.close(scope, Exit.void)
        )
        const services = this.wrap({
          command: Context.get(built, Command),
          query: Context.get(built, Query),
          past: Context.get(built, Past),
          feed: Context.get(built, ActivityFeed),
          journal: Context.get(built, Journal),
          consumer: Context.get(built, Consumer.Consumer),
          sql: Context.getOption(built, SqlClient).pipe((sql) => sql._tag === "Some" ? sql.value : undefined)
        })
        this.broadcast.clear()
        this.live = yield* Scope.extend(services.command.notify.subscribe, scope)
        this.scope = scope
        this.services = services
      })
    ).pipe(Effect.ensuring(opened))
  })

  /** Closes the database. Commands that are being executed are left to the services. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { scope } = this
    this.services = undefined
    this.openedAt = undefined
    this.scope = undefined
    this.live = undefined
    return Effect.zipRight(
      Fiber.interruptAll([...this.dependents]),
      scope === undefined ? Effect.void : this.on(Scope.close(scope, Exit.void))
    )
  })

  /** Notes what has been broadcast by now. */
  observe(history: History): void {
    if (this.live === undefined) return
    const exit = Effect.runSyncExit(this.live.takeAll)
    if (Exit.isFailure(exit)) return
    for (const activity of exit.value) {
      if (this.broadcast.has(activity.id)) history.report(`position ${activity.position} was broadcast twice`)
      this.broadcast.add(activity.id)
    }
  }
}
