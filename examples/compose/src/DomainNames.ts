/** Domain names that tenants rent for their relays: a table beside Caravel's, written in the same transactions. */
import { Command } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import * as SqlSchema from "@effect/sql/SqlSchema"
import { Effect, Option, Schema } from "effect"

/** Another relay has the domain name. */
export class DomainNameTaken extends Schema.TaggedError<DomainNameTaken>()("DomainNameTaken", {
  name: Schema.String
}) {
  override get message() {
    return `${this.name} is taken`
  }
}

/** Creates the table. Its foreign key needs Caravel's tables, which exist once Caravel's layer is built. */
const migrate = Migrator.make({})({
  table: "domain_name_migrations",
  loader: Migrator.fromRecord({
    "1_domain_name": Effect.flatMap(SqlClient, (sql) =>
      sql`CREATE TABLE domain_name (
        name TEXT PRIMARY KEY,
        relay TEXT NOT NULL UNIQUE REFERENCES caravel_relay (id)
      )`)
  })
})

export class DomainNames extends Effect.Service<DomainNames>()("example/DomainNames", {
  effect: Effect.gen(function*() {
    yield* migrate
    const sql = yield* SqlClient
    const command = yield* Command

    /** The relay that has this domain name. */
    const relayOf = SqlSchema.findOne({
      Request: Schema.String,
      Result: Schema.Struct({ relay: Schema.String }),
      execute: (name) => sql`SELECT relay FROM domain_name WHERE name = ${name}`
    })

    /** Creates a relay that has a domain name of its own, or nothing at all. */
    const rent = (relay: { readonly id: string; readonly tenant: string; readonly subdomain: string }, name: string) =>
      sql.withTransaction(Effect.gen(function*() {
        const activity = yield* command.createRelay(relay)
        if (Option.isSome(yield* relayOf(name))) return yield* new DomainNameTaken({ name })
        yield* sql`INSERT INTO domain_name ${sql.insert({ name, relay: relay.id })}`
        return activity
      }))

    return { relayOf, rent }
  })
}) {}
