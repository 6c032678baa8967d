import { Effect } from "effect"
import { type Generated, Kysely, SqliteDialect } from "kysely"
import type { Input } from "../Input.js"
import * as Load from "../Load.js"
import * as Row from "../Row.js"
import * as SqliteFile from "../SqliteFile.js"
import type { Subject } from "../Subject.js"

interface Tables {
  caravel_event: Row.EventRow & { readonly position: Generated<number> }
  caravel_relay: Row.RelayRow
  caravel_tenant: { readonly pubkey: string }
}

/** The query builder Kysely, over better-sqlite3. */
export const subject: Subject = {
  description: "Kysely over better-sqlite3: db.transaction().execute for each command",
  open: (options) =>
    Effect.map(SqliteFile.open(options), (database) => {
      // The file is closed by its scope.
      const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database }) })

      let notified = 0
      const notify = Row.notifier([() => notified++])

      const execute = async (input: Input) => {
        const activity = await db.transaction().execute(async (trx) => {
          const append = async (event: Row.EventRow) => {
            const { position } = await trx.insertInto("caravel_event").values(event).returning("position")
              .executeTakeFirstOrThrow()
            return Row.activity(position, event)
          }
          if (input._tag === "createRelay") {
            await trx.selectFrom("caravel_tenant").select("pubkey").where("pubkey", "=", input.tenant)
              .executeTakeFirstOrThrow()
            const event = Row.eventRow(input, input.tenant, 1)
            const activity = await append(event)
            await trx.insertInto("caravel_relay").values(Row.relayRow(input, event.created_at)).execute()
            return activity
          }
          const relay = await trx.selectFrom("caravel_relay").select(["tenant", "version"]).where("id", "=", input.id)
            .executeTakeFirstOrThrow()
          const version = relay.version + 1
          const activity = await append(Row.eventRow(input, relay.tenant, version))
          await trx.updateTable("caravel_relay").set({ status: "inactive", version }).where("id", "=", input.id)
            .execute()
          return activity
        })
        notify(activity)
      }

      return { run: Load.promising(execute), notified: () => notified }
    })
}
