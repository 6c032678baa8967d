/** The query builder Drizzle, over better-sqlite3. */
import { eq, getTableColumns, sql } from "drizzle-orm"
import { drizzle } from "drizzle-orm/better-sqlite3"
import { integer, sqliteTable, text } from "drizzle-orm/sqlite-core"
import { Effect, Record as Rec } from "effect"
import type { Input } from "../Input.js"
import * as Load from "../Load.js"
import * as Row from "../Row.js"
import * as SqliteFile from "../SqliteFile.js"
import type { Subject } from "../Subject.js"

const event = sqliteTable("caravel_event", {
  position: integer().primaryKey({ autoIncrement: true }),
  id: text().notNull(),
  type: text().notNull(),
  activity_type: text(),
  tenant: text().notNull(),
  resource_type: text().notNull(),
  resource_id: text().notNull(),
  resource_version: integer().notNull(),
  payload: text().notNull(),
  metadata: text().notNull(),
  created_at: integer().notNull()
})

const tenant = sqliteTable("caravel_tenant", { pubkey: text().primaryKey() })

const relay = sqliteTable("caravel_relay", {
  id: text().primaryKey(),
  tenant: text().notNull(),
  subdomain: text().notNull(),
  plan: text().notNull(),
  info_name: text().notNull(),
  info_icon: text().notNull(),
  info_description: text().notNull(),
  policy_public_join: integer().notNull(),
  policy_strip_signatures: integer().notNull(),
  groups_enabled: integer().notNull(),
  management_enabled: integer().notNull(),
  blossom_enabled: integer().notNull(),
  livekit_enabled: integer().notNull(),
  push_enabled: integer().notNull(),
  status: text().notNull(),
  synced: integer().notNull(),
  sync_error: text().notNull(),
  stripe_subscription_item_id: text(),
  created_at: integer().notNull(),
  version: integer().notNull()
})

type Database = ReturnType<typeof drizzle>

/** The statements of a command. */
interface Statements {
  readonly tenantOf: (pubkey: string) => { readonly pubkey: string } | undefined
  readonly relayOf: (id: string) => { readonly tenant: string; readonly version: number } | undefined
  readonly insertEvent: (row: Row.EventRow) => { readonly position: number }
  readonly insertRelay: (row: Row.RelayRow) => unknown
  readonly updateRelay: (id: string, version: number) => unknown
}

/** Builds and prepares each statement at each use, as in a first version. */
const built = (db: Pick<Database, "select" | "insert" | "update">): Statements => ({
  tenantOf: (pubkey) => db.select({ pubkey: tenant.pubkey }).from(tenant).where(eq(tenant.pubkey, pubkey)).get(),
  relayOf: (id) =>
    db.select({ tenant: relay.tenant, version: relay.version }).from(relay).where(eq(relay.id, id)).get(),
  insertEvent: (row) => db.insert(event).values(row).returning({ position: event.position }).get(),
  insertRelay: (row) => db.insert(relay).values(row).run(),
  updateRelay: (id, version) => db.update(relay).set({ status: "inactive", version }).where(eq(relay.id, id)).run()
})

/** Prepares each statement once, with placeholders. */
const prepared = (db: Pick<Database, "select" | "insert" | "update">): Statements => {
  const hole = sql.placeholder
  const { position: _, ...eventColumns } = getTableColumns(event)
  const tenantOf = db.select({ pubkey: tenant.pubkey }).from(tenant).where(eq(tenant.pubkey, hole("pubkey"))).prepare()
  const relayOf = db.select({ tenant: relay.tenant, version: relay.version }).from(relay)
    .where(eq(relay.id, hole("id"))).prepare()
  const insertEvent = db.insert(event).values(Rec.map(eventColumns, (_, name) => hole(name)))
    .returning({ position: event.position }).prepare()
  const insertRelay = db.insert(relay).values(Rec.map(getTableColumns(relay), (_, name) => hole(name))).prepare()
  const updateRelay = db.update(relay).set({ status: "inactive", version: sql`${hole("version")}` })
    .where(eq(relay.id, hole("id"))).prepare()
  return {
    tenantOf: (pubkey) => tenantOf.get({ pubkey }),
    relayOf: (id) => relayOf.get({ id }),
    insertEvent: (row) => insertEvent.get({ ...row }),
    insertRelay: (row) => insertRelay.run({ ...row }),
    updateRelay: (id, version) => updateRelay.run({ id, version })
  }
}

const make = (description: string, isPrepared: boolean): Subject => ({
  description,
  blocking: true,
  open: (options) =>
    Effect.map(SqliteFile.open(options), (client) => {
      const db = drizzle({ client })
      const once = isPrepared ? prepared(db) : undefined

      let notified = 0
      const notify = Row.notifier([() => notified++])

      const write = (statements: Statements, input: Input) => {
        if (input._tag === "createRelay") {
          if (statements.tenantOf(input.tenant) === undefined) throw new Error(`no tenant ${input.tenant}`)
          const event = Row.eventRow(input, input.tenant, 1)
          const { position } = statements.insertEvent(event)
          statements.insertRelay(Row.relayRow(input, event.created_at))
          return Row.activity(position, event)
        }
        const relay = statements.relayOf(input.id)
        if (relay === undefined) throw new Error(`no relay ${input.id}`)
        const version = relay.version + 1
        const event = Row.eventRow(input, relay.tenant, version)
        const { position } = statements.insertEvent(event)
        statements.updateRelay(input.id, version)
        return Row.activity(position, event)
      }

      // The driver has one connection, so a statement that was prepared outside of the transaction runs inside it.
      const execute = (input: Input) =>
        notify(db.transaction((tx) => write(once ?? built(tx), input), { behavior: "immediate" }))

      return { run: Load.blocking((inputs) => inputs.forEach(execute)), notified: () => notified }
    })
})

/** Drizzle as in a first version, without prepared statements. */
export const subject: Subject = make("Drizzle over better-sqlite3: db.transaction for each command", false)

/** Drizzle with prepared statements. */
export const preparedSubject: Subject = make("the same with statements prepared once", true)
