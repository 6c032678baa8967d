import { Effect } from "effect"
import type { Input } from "../Input.js"
import * as Load from "../Load.js"
import * as Row from "../Row.js"
import * as SqliteFile from "../SqliteFile.js"
import type { Subject } from "../Subject.js"

/**
 * better-sqlite3 with hand-written, prepared statements and a number of commands in each commit: the limit of SQLite
 * itself.
 */
export const make = (batch: number): Subject => ({
  description: `better-sqlite3, prepared statements by hand, ${
    batch === 1 ? "one commit per command" : `${batch} commands per commit`
  }`,
  blocking: true,
  open: (options) =>
    Effect.map(SqliteFile.open(options), (db) => {
      const begin = db.prepare("BEGIN IMMEDIATE")
      const commit = db.prepare("COMMIT")
      const rollback = db.prepare("ROLLBACK")
      const tenantExists = db.prepare<[string], 1>("SELECT 1 FROM caravel_tenant WHERE pubkey = ?").pluck()
      const relayById = db.prepare<[string], { tenant: string; version: number }>(
        "SELECT tenant, version FROM caravel_relay WHERE id = ?"
      )
      const insertEvent = db.prepare<[Row.EventRow]>(
        `INSERT INTO caravel_event
          (id, type, activity_type, tenant, resource_type, resource_id, resource_version, payload, metadata, created_at)
          VALUES (@id, @type, @activity_type, @tenant, @resource_type, @resource_id, @resource_version, @payload,
            @metadata, @created_at)`
      )
      const insertRelay = db.prepare<[Row.RelayRow]>(
        `INSERT INTO caravel_relay
          (id, tenant, subdomain, plan, info_name, info_icon, info_description, policy_public_join,
            policy_strip_signatures, groups_enabled, management_enabled, blossom_enabled, livekit_enabled, push_enabled,
            status, synced, sync_error, stripe_subscription_item_id, created_at, version)
          VALUES (@id, @tenant, @subdomain, @plan, @info_name, @info_icon, @info_description, @policy_public_join,
            @policy_strip_signatures, @groups_enabled, @management_enabled, @blossom_enabled, @livekit_enabled,
            @push_enabled, @status, @synced, @sync_error, @stripe_subscription_item_id, @created_at, @version)`
      )
      const updateRelay = db.prepare<[status: string, version: number, id: string]>(
        "UPDATE caravel_relay SET status = ?, version = ? WHERE id = ?"
      )

      const append = (event: Row.EventRow) => Row.activity(Number(insertEvent.run(event).lastInsertRowid), event)

      const execute = (input: Input): Row.Activity => {
        if (input._tag === "createRelay") {
          if (tenantExists.get(input.tenant) === undefined) throw new Error(`no tenant ${input.tenant}`)
          // The constraints check that id and subdomain are free.
          const event = Row.eventRow(input, input.tenant, 1)
          const activity = append(event)
          insertRelay.run(Row.relayRow(input, event.created_at))
          return activity
        }
        const relay = relayById.get(input.id)
        if (relay === undefined) throw new Error(`no relay ${input.id}`)
        const version = relay.version + 1
        const activity = append(Row.eventRow(input, relay.tenant, version))
        updateRelay.run("inactive", version, input.id)
        return activity
      }

      let notified = 0
      const notify = Row.notifier([() => notified++])

      const run = (inputs: ReadonlyArray<Input>) => {
        begin.run()
        let activities: ReadonlyArray<Row.Activity>
        try {
          activities = inputs.map(execute)
          commit.run()
        } catch (error) {
          if (db.inTransaction) rollback.run()
          throw error
        }
        activities.forEach(notify)
      }

      return { run: Load.blocking(run, batch), notified: () => notified }
    })
})
