import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import type { SqlClient } from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, PubSub, type Scope } from "effect"
import type { Input } from "../Input.js"
import * as Live from "../Live.js"
import * as Row from "../Row.js"
import * as SqliteFile from "../SqliteFile.js"
import type { OpenOptions, Subject } from "../Subject.js"

/** The client of `@effect/sql` as its documentation uses it. */
export const subject: Subject = {
  description: "@effect/sql-sqlite-node: sql.withTransaction for each command, then PubSub.publish",
  open: (options) => Effect.flatMap(open(options), Live.session)
}

/** A client with Caravel's database settings. */
export const client = ({ filename, synchronous }: OpenOptions) =>
  Effect.gen(function*() {
    const sql = yield* SqliteClient.make({ filename })
    yield* Effect.forEach(SqliteFile.settings(synchronous), (setting) => sql.unsafe(`PRAGMA ${setting}`))
    return sql
  }).pipe(Effect.provide(Reactivity.layer), Effect.orDie)

/** The commands and the subscription. */
export const open = (options: OpenOptions): Effect.Effect<Live.Live, never, Scope.Scope> =>
  Effect.flatMap(client(options), (sql) => over(sql))

/** The same over any client. The database assigns positions. */
export const over = (
  sql: SqlClient,
  { begin = Effect.void, forUpdate = "" }: {
    /** The first statement of each transaction. */
    readonly begin?: Effect.Effect<unknown, SqlError>
    /** The clause that locks the row that was read, if the database allows concurrent writers. */
    readonly forUpdate?: string
  } = {}
): Effect.Effect<Live.Live, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.unbounded<Row.Activity>()
    const subscription = yield* PubSub.subscribe(pubsub)

    const append = (event: Row.EventRow) =>
      Effect.map(
        sql`INSERT INTO caravel_event ${sql.insert({ ...event })} RETURNING position`,
        ([row]) => Row.activity(Number(row?.["position"]), event)
      )

    const write = (input: Input) =>
      Effect.gen(function*() {
        yield* begin
        if (input._tag === "createRelay") {
          const [tenant] = yield* sql`SELECT 1 FROM caravel_tenant WHERE pubkey = ${input.tenant}`
          if (tenant === undefined) return yield* Effect.fail(`no tenant ${input.tenant}`)
          const event = Row.eventRow(input, input.tenant, 1)
          const activity = yield* append(event)
          yield* sql`INSERT INTO caravel_relay ${sql.insert(Row.relayRow(input, event.created_at))}`
          return activity
        }
        const [relay] = yield* sql`
          SELECT tenant, version FROM caravel_relay WHERE id = ${input.id} ${sql.literal(forUpdate)}`
        if (relay === undefined) return yield* Effect.fail(`no relay ${input.id}`)
        const version = Number(relay["version"]) + 1
        const activity = yield* append(Row.eventRow(input, String(relay["tenant"]), version))
        yield* sql`UPDATE caravel_relay SET status = 'inactive', version = ${version} WHERE id = ${input.id}`
        return activity
      })

    return {
      execute: (input) =>
        sql.withTransaction(write(input)).pipe(
          Effect.tap((activity) => PubSub.publish(pubsub, activity)),
          Effect.orDie
        ),
      follow: Live.followQueue(subscription)
    }
  })
