import * as EventGroup from "@effect/experimental/EventGroup"
import * as EventJournal from "@effect/experimental/EventJournal"
import * as EventLog from "@effect/experimental/EventLog"
import { SqlClient } from "@effect/sql/SqlClient"
import * as SqlEventJournal from "@effect/sql/SqlEventJournal"
import { Context, Effect, Layer, Schema } from "effect"
import type { Input } from "../Input.js"
import * as Live from "../Live.js"
import * as Row from "../Row.js"
import type { Subject } from "../Subject.js"
import { client } from "./NaiveEffect.js"

const group = EventGroup.empty.add({
  tag: "RelayCreated",
  primaryKey: ({ id }) => id,
  payload: Schema.Struct({
    id: Schema.String,
    tenant: Schema.String,
    subdomain: Schema.String,
    plan: Schema.String,
    infoName: Schema.String,
    infoIcon: Schema.String,
    infoDescription: Schema.String,
    policyPublicJoin: Schema.Boolean,
    policyStripSignatures: Schema.Boolean,
    groupsEnabled: Schema.Boolean,
    managementEnabled: Schema.Boolean,
    blossomEnabled: Schema.Boolean,
    livekitEnabled: Schema.Boolean,
    pushEnabled: Schema.Boolean,
    status: Schema.String,
    synced: Schema.Boolean,
    syncError: Schema.String,
    stripeSubscriptionItemId: Schema.NullOr(Schema.String)
  })
}).add({
  tag: "RelayDeactivated",
  primaryKey: ({ id }) => id,
  payload: Schema.Struct({ id: Schema.String, status: Schema.String })
})

const schema = EventLog.schema(group)

/** The projections. They run in the journal's transaction and refuse invalid commands. */
const handlers = EventLog.group(group, (handlers) =>
  handlers
    .handle("RelayCreated", ({ entry, payload: { id, subdomain, tenant } }) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const [found] = yield* sql`SELECT 1 FROM caravel_tenant WHERE pubkey = ${tenant}`
        if (found === undefined) return yield* Effect.fail(`no tenant ${tenant}`)
        const relay = Row.relayRow({ _tag: "createRelay", id, tenant, subdomain }, entry.createdAtMillis)
        yield* sql`INSERT INTO caravel_relay ${sql.insert(relay)}`
      }).pipe(Effect.orDie))
    .handle("RelayDeactivated", ({ payload: { id, status } }) =>
      Effect.gen(function*() {
        const sql = yield* SqlClient
        const [relay] = yield* sql`SELECT version FROM caravel_relay WHERE id = ${id}`
        if (relay === undefined) return yield* Effect.fail(`no relay ${id}`)
        yield* sql`UPDATE caravel_relay SET status = ${status}, version = ${
          Number(relay["version"]) + 1
        } WHERE id = ${id}`
      }).pipe(Effect.orDie)))

/**
 * Effect's own event log, local, over its SQL journal. It has its own table of entries, encoded as MessagePack, and
 * notifies subscribers before it commits.
 */
export const subject: Subject = {
  description: "Effect's EventLog over SqlEventJournal, handlers that update the rows",
  open: (options) =>
    Effect.gen(function*() {
      const sql = Layer.scoped(SqlClient, client(options))
      const layer = Layer.provide(EventLog.layer(schema), handlers).pipe(
        Layer.provideMerge(SqlEventJournal.layer()),
        Layer.provide(sql),
        Layer.provide(Layer.succeed(EventLog.Identity, EventLog.Identity.makeRandom()))
      )
      const context = yield* Effect.orDie(Layer.build(layer))
      const write = yield* Effect.provide(EventLog.makeClient(schema), context)
      const changes = yield* Context.get(context, EventJournal.EventJournal).changes

      const execute = (input: Input) =>
        input._tag === "createRelay"
          ? write("RelayCreated", { id: input.id, tenant: input.tenant, ...Row.relayCreated(input) })
          : write("RelayDeactivated", { id: input.id, ...Row.relayDeactivated })

      return yield* Live.session({
        execute: (input) => Effect.orDie(execute(input)),
        follow: Live.followQueue(changes)
      })
    })
}
