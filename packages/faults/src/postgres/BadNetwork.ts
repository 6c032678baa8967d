/** PostgreSQL behind a network that fragments, delays and breaks connections at each message. */
import { PostgresSchema } from "@caravel/bench"
import { Command, type CommandService, Journal, Query, StorageError } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Postgres } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Queue, Random, Redacted } from "effect"
import { isDeepStrictEqual } from "node:util"
import { drifts } from "../Drifts.js"
import type { Finding, Kind, Settings } from "../Kind.js"
import * as Proxy from "./Proxy.js"
import * as Schema from "./Schema.js"

const tenant = "a".repeat(64)

type Services = Context.Context<Layer.Layer.Success<ReturnType<typeof Postgres.layer>>>

/** What a caller does while the connection breaks. It creates relays with these ids. */
interface Operation {
  readonly name: string
  readonly relays: number
  readonly run: (
    services: Services,
    ids: ReadonlyArray<string>
  ) => ReadonlyArray<Effect.Effect<unknown, { readonly _tag: string }>>
}

const create = (command: CommandService, id: string) => command.createRelay({ id, tenant, subdomain: id })

const operations: ReadonlyArray<Operation> = [
  {
    name: "a command",
    relays: 1,
    run: (services, ids) => ids.map((id) => create(Context.get(services, Command), id))
  },
  {
    name: "commands at once",
    relays: 8,
    run: (services, ids) => ids.map((id) => create(Context.get(services, Command), id))
  },
  {
    name: "a list",
    relays: 2,
    run: (services, ids) => [
      Context.get(services, Command).submit(ids.map((id) => ({ _tag: "CreateRelay", id, tenant, subdomain: id })))
    ]
  },
  {
    name: "a transaction of the caller",
    relays: 2,
    run: (services, ids) => [
      Context.get(services, SqlClient).withTransaction(
        Effect.forEach(ids, (id) => create(Context.get(services, Command), id))
      )
    ]
  }
]

/** Whether a call may have taken effect, or what is wrong with its failure. */
const effectOf = (
  exit: Exit.Exit<unknown, { readonly _tag: string }>
): "yes" | "no" | "perhaps" | { wrong: string } => {
  if (Exit.isSuccess(exit)) return "yes"
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  // A caller's own transaction fails with the error of its client.
  const failure = error instanceof SqlError ? error.cause ?? error : error
  if (failure instanceof StorageError) {
    if (failure.reason === "other" || failure.reason === "corrupt") {
      return { wrong: `its reason is ${failure.reason}: ${failure.message}` }
    }
    return failure.reason === "commitUnknown" ? "perhaps" : "no"
  }
  return error instanceof SqlError ? "no" : { wrong: Cause.pretty(exit.cause) }
}

/** How long an operation may take, with its retries. */
const patience = "60 seconds"

/** What is there once all transactions that write have ended, those of lost connections too. */
const inJournal = (direct: string, ids: ReadonlyArray<string>) =>
  Effect.map(
    PostgresSchema.execute(
      direct,
      "BEGIN",
      "LOCK TABLE caravel_event IN SHARE MODE",
      `SELECT resource_id AS id FROM caravel_event WHERE resource_id IN (${ids.map((id) => `'${id}'`).join(", ")})`
    ),
    (rows) => rows.map(({ id }) => String(id))
  )

/** Waits until the consumer has handled everything. */
const handled = (services: Services) =>
  Effect.flatMap(Context.get(services, Journal).head, (head) => Consumer.awaitPosition("handled", head)).pipe(
    Effect.provide(services),
    Effect.timeout(patience)
  )

/** Runs an operation while the connection breaks, and returns what does not hold, and whether it broke. */
const round = (
  { direct, proxy, services }: World,
  { name, relays, run }: Operation,
  cut: Proxy.Cut,
  n: number
) =>
  Effect.gen(function*() {
    const ids = Array.from({ length: relays }, (_, i) => `r${n}-${i}`)
    // Otherwise messages of the consumer would be among those of the operation, and some of these would never be cut.
    yield* handled(services)
    yield* proxy.arm(cut)
    const exits = yield* Effect.forEach(run(services, ids), (call) => Effect.exit(call), { concurrency: "unbounded" })
      .pipe(
        Effect.timeoutOption(patience)
      )
    const broke = yield* proxy.disarm
    const at = `${name}, cut at message ${cut.message} from the ${cut.from}, of which ${cut.arrives} arrives`
    if (Option.isNone(exits)) return { broke, wrong: `${at}: it does not end within ${patience}` }
    const stored = yield* inJournal(direct, ids)
    for (const [index, exit] of exits.value.entries()) {
      const effect = effectOf(exit)
      if (typeof effect === "object") return { broke, wrong: `${at}: ${effect.wrong}` }
      // A list and a transaction are one call for all their relays.
      const own = exits.value.length === 1 ? ids : [ids[index]!]
      const counts = own.map((id) => stored.filter((other) => other === id).length)
      const expected = effect === "yes" ? [1] : effect === "no" ? [0] : [0, 1]
      if (!counts.every((count) => count === counts[0] && expected.includes(count))) {
        return { broke, wrong: `${at}: it took effect: ${effect}; in the journal: ${counts.join(", ")}` }
      }
    }
    return { broke, wrong: undefined }
  })

/** An operation has fewer messages. */
const mostMessages = 200

const paces: ReadonlyArray<Proxy.Pace> = ["whole", "bytes", "late"]

const found = (wrong: string): Finding => ({ title: "PostgreSQL behind a bad network", details: wrong })

/** A schema whose services reach it through a proxy, with a subscriber and a consumer that must miss nothing. */
const world = Effect.gen(function*() {
  const direct = yield* Schema.temporary
  yield* PostgresSchema.execute(direct, "CREATE TABLE handled (position bigint)")
  const proxy = yield* Proxy.make(direct)
  const services = yield* Layer.build(Postgres.layer({ url: Redacted.make(proxy.url) }))
  const command = Context.get(services, Command)
  const subscriber = yield* command.notify.subscribe
  yield* command.createTenant({ pubkey: tenant })
  const sql = Context.get(services, SqlClient)
  const consuming = yield* Effect.forkScoped(Effect.provide(
    Consumer.run({
      name: "handled",
      from: "beginning",
      transactional: true,
      handle: ({ position }) => Effect.asVoid(sql`INSERT INTO handled (position) VALUES (${position})`)
    }),
    services
  ))
  return { direct, proxy, services, subscriber, consuming }
})

type World = Effect.Effect.Success<typeof world>

/** What does not hold once the network is well again. */
const after = ({ consuming, direct, services, subscriber }: World) =>
  Effect.gen(function*() {
    // It works on.
    yield* Context.get(services, Command).createRelay({ id: "last", tenant, subdomain: "last" })
    const positions = (yield* Context.get(services, Query).activity()).map(({ position }) => position)
    const received = Array.from(yield* Queue.takeAll(subscriber), ({ position }) => position)
    yield* handled(services)
    yield* Fiber.interrupt(consuming)
    const rows = yield* PostgresSchema.execute(direct, "SELECT position FROM handled ORDER BY position")
    const different = yield* Effect.provide(drifts, services)
    const checks: ReadonlyArray<readonly [boolean, string]> = [
      [isDeepStrictEqual(received, positions), "the subscriber received other activities than the log has"],
      [
        isDeepStrictEqual(rows.map(({ position }) => Number(position)), positions),
        "the transactional consumer did not handle each activity once"
      ],
      [different.length === 0, `the rows differ from the journal: ${JSON.stringify(different)}`]
    ]
    return checks.filter(([holds]) => !holds).map(([, wrong]) => wrong)
  })

/** Opens a database through a network that breaks at each message. Opening fails with a typed error, or succeeds. */
const openings = (cut: Omit<Proxy.Cut, "message">) =>
  Effect.gen(function*() {
    const direct = yield* Schema.temporary
    const proxy = yield* Proxy.make(direct)
    const findings: Array<Finding> = []
    for (let message = 1; message < mostMessages; message++) {
      yield* proxy.arm({ ...cut, message })
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Postgres.layer({ url: Redacted.make(proxy.url) }))))
        .pipe(
          Effect.timeoutOption(patience)
        )
      const broke = yield* proxy.disarm
      const effect = Option.match(exit, { onNone: () => ({ wrong: "it does not end" }), onSome: effectOf })
      if (typeof effect === "object") {
        findings.push(found(`opening, cut at message ${message} from the ${cut.from}: ${effect.wrong}`))
      }
      if (!broke) return { cuts: message - 1, findings }
    }
    return { cuts: mostMessages, findings }
  }).pipe(Effect.scoped)

const cuts: ReadonlyArray<Omit<Proxy.Cut, "message">> = (["client", "server"] as const).flatMap((from) =>
  (from === "client" ? ["nothing", "half", "all", "later"] as const : ["nothing", "half", "all"] as const).map((
    arrives
  ) => ({ from, arrives }))
)

const search = ({ long, progress }: Settings) =>
  Effect.gen(function*() {
    const findings: Array<Finding> = []
    let [broken, n] = [0, 0]
    for (const pace of long ? paces : paces.slice(0, 1)) {
      const here = yield* world
      yield* here.proxy.setPace(pace)
      // The paces differ in how messages arrive, which depends little on what they are for.
      for (const operation of operations.slice(0, !long ? 1 : pace === "whole" ? 4 : 2)) {
        for (const cut of cuts) {
          for (let message = 1; message < mostMessages; message++) {
            const { broke, wrong } = yield* round(here, operation, { ...cut, message }, n++)
            if (wrong !== undefined) findings.push(found(`messages ${pace}: ${wrong}`))
            if (!broke) break
            broken++
          }
        }
        yield* progress(`${operation.name}, messages ${pace}: ${broken} cuts so far`)
      }
      yield* here.proxy.setPace("whole")
      for (const wrong of yield* after(here)) findings.push(found(`messages ${pace}: ${wrong}`))
    }
    for (const cut of long ? cuts : cuts.slice(0, 1)) {
      const opened = yield* openings(cut)
      broken += opened.cuts
      for (const finding of opened.findings) findings.push(finding)
    }
    return { tried: { cuts: broken, operations: n }, findings }
  }).pipe(Effect.scoped)

/** PostgreSQL. */
export const postgres: Kind = {
  title: "PostgreSQL behind a bad network",
  description: "Connections that break at each message, and messages that arrive in pieces or late.",
  skipped: PostgresSchema.skipped,
  run: (settings) => Effect.withRandom(search(settings), Random.make(settings.seed))
}
