/** The tables of billing and their statements. Instants are ISO 8601 text in UTC, which sorts by time. */
import { PlanId, Position, Pubkey, RelayId } from "@caravel/domain"
import * as Migrator from "@effect/sql/Migrator"
import { SqlClient } from "@effect/sql/SqlClient"
import * as SqlSchema from "@effect/sql/SqlSchema"
import { Effect, Schema } from "effect"
import { Month, Period } from "./Price.js"

/** A relay was active on a plan that has a price: from `since` until `until`, or until now. */
export const UsageLine = Schema.Struct({
  /** The position of the activity that began it. So no activity can begin two lines. */
  position: Position,
  relay: RelayId,
  tenant: Pubkey,
  plan: PlanId,
  since: Schema.DateTimeUtc,
  until: Schema.NullOr(Schema.DateTimeUtc)
})
export type UsageLine = typeof UsageLine.Type

const InvoiceKey = Schema.Struct({ tenant: Pubkey, month: Month })

/** What a tenant owes for a month. */
const Invoice = Schema.Struct({
  ...InvoiceKey.fields,
  cents: Schema.Int,
  due: Schema.DateTimeUtc,
  /** When it was found to be past due, if it was. */
  overdue: Schema.NullOr(Schema.DateTimeUtc),
  paid: Schema.NullOr(Schema.DateTimeUtc)
})

/** The part of a usage line that is in the month of an invoice. */
const InvoiceLine = Schema.Struct({
  ...InvoiceKey.fields,
  /** The position of the usage line. */
  usage: Position,
  relay: RelayId,
  plan: PlanId,
  since: Schema.DateTimeUtc,
  until: Schema.DateTimeUtc,
  cents: Schema.Int
})

/** Creates the tables. Their foreign keys need Caravel's tables, which exist once Caravel's layer is built. */
const migrate = Migrator.make({})({
  table: "billing_migrations",
  loader: Migrator.fromRecord({
    "1_billing": Effect.gen(function*() {
      const sql = yield* SqlClient
      yield* sql`CREATE TABLE usage_line (
        position INTEGER PRIMARY KEY,
        relay TEXT NOT NULL REFERENCES caravel_relay (id),
        tenant TEXT NOT NULL REFERENCES caravel_tenant (pubkey),
        plan TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT
      )`
      yield* sql`CREATE UNIQUE INDEX usage_line_open ON usage_line (relay) WHERE until IS NULL`
      yield* sql`CREATE INDEX usage_line_tenant ON usage_line (tenant, since)`
      yield* sql`CREATE TABLE invoice (
        tenant TEXT NOT NULL REFERENCES caravel_tenant (pubkey),
        month TEXT NOT NULL,
        cents INTEGER NOT NULL,
        due TEXT NOT NULL,
        overdue TEXT,
        paid TEXT,
        PRIMARY KEY (tenant, month)
      )`
      yield* sql`CREATE TABLE invoice_line (
        tenant TEXT NOT NULL,
        month TEXT NOT NULL,
        usage INTEGER NOT NULL REFERENCES usage_line (position),
        relay TEXT NOT NULL,
        plan TEXT NOT NULL,
        since TEXT NOT NULL,
        until TEXT NOT NULL,
        cents INTEGER NOT NULL,
        PRIMARY KEY (month, usage),
        FOREIGN KEY (tenant, month) REFERENCES invoice (tenant, month)
      )`
    })
  })
})

const Marking = Schema.Struct({ ...InvoiceKey.fields, now: Schema.DateTimeUtc })

export class Ledger extends Effect.Service<Ledger>()("example/Ledger", {
  effect: Effect.gen(function*() {
    yield* migrate
    const sql = yield* SqlClient

    /** The relay's line that has not ended. */
    const openUsage = SqlSchema.findOne({
      Request: RelayId,
      Result: Schema.Struct({ plan: PlanId }),
      execute: (relay) => sql`SELECT plan FROM usage_line WHERE relay = ${relay} AND until IS NULL`
    })

    const endUsage = SqlSchema.void({
      Request: Schema.Struct({ relay: RelayId, until: Schema.DateTimeUtc }),
      execute: ({ relay, until }) =>
        sql`UPDATE usage_line SET until = ${until} WHERE relay = ${relay} AND until IS NULL`
    })

    const beginUsage = SqlSchema.void({
      Request: Schema.Struct(UsageLine.fields).omit("until"),
      execute: (line) => sql`INSERT INTO usage_line ${sql.insert(line)}`
    })

    /** Whether a line reaches into a period. A line may have no duration, or a negative one if a clock was set back. */
    const reachesInto = ({ from, to }: typeof Period.Encoded) =>
      sql`since < ${to} AND (until IS NULL OR (until > ${from} AND until > since))`

    /** The tenant's lines that reach into a period, by relay and time. */
    const usage = SqlSchema.findAll({
      Request: Schema.Struct({ tenant: Pubkey, ...Period.fields }),
      Result: UsageLine,
      execute: ({ tenant, ...period }) =>
        sql`SELECT * FROM usage_line WHERE tenant = ${tenant} AND ${reachesInto(period)} ORDER BY relay, since`
    })

    /** The tenants that have lines in a period, and no invoice for the month. */
    const unbilled = SqlSchema.findAll({
      Request: Schema.Struct({ month: Month, ...Period.fields }),
      Result: Schema.Struct({ tenant: Pubkey }),
      execute: ({ month, ...period }) =>
        sql`SELECT DISTINCT tenant FROM usage_line
          WHERE ${reachesInto(period)} AND tenant NOT IN (SELECT tenant FROM invoice WHERE month = ${month})
          ORDER BY tenant`
    })

    /** Returns nothing if the tenant has an invoice for the month. */
    const addInvoice = SqlSchema.findOne({
      Request: Invoice,
      Result: Invoice,
      execute: (invoice) => sql`INSERT INTO invoice ${sql.insert(invoice)} ON CONFLICT DO NOTHING RETURNING *`
    })

    const addInvoiceLines = SqlSchema.void({
      Request: Schema.Array(InvoiceLine),
      execute: (lines) => sql`INSERT INTO invoice_line ${sql.insert(lines)}`
    })

    /** The unpaid invoices that are past due at an instant, and not yet marked. */
    const pastDue = SqlSchema.findAll({
      Request: Schema.DateTimeUtc,
      Result: InvoiceKey,
      execute: (now) =>
        sql`SELECT tenant, month FROM invoice
          WHERE due <= ${now} AND paid IS NULL AND overdue IS NULL
          ORDER BY tenant, month`
    })

    /** Returns nothing if the invoice has been paid or marked. */
    const markOverdue = SqlSchema.findOne({
      Request: Marking,
      Result: Invoice,
      execute: ({ month, now, tenant }) =>
        sql`UPDATE invoice SET overdue = ${now}
          WHERE tenant = ${tenant} AND month = ${month} AND paid IS NULL AND overdue IS NULL
          RETURNING *`
    })

    /** Returns nothing if the invoice has been paid. */
    const markPaid = SqlSchema.findOne({
      Request: Marking,
      Result: Invoice,
      execute: ({ month, now, tenant }) =>
        sql`UPDATE invoice SET paid = ${now}
          WHERE tenant = ${tenant} AND month = ${month} AND paid IS NULL
          RETURNING *`
    })

    /** The invoices of a tenant, oldest first. */
    const invoices = SqlSchema.findAll({
      Request: Pubkey,
      Result: Invoice,
      execute: (tenant) => sql`SELECT * FROM invoice WHERE tenant = ${tenant} ORDER BY month`
    })

    /** The lines of an invoice, by relay and time. */
    const invoiceLines = SqlSchema.findAll({
      Request: InvoiceKey,
      Result: InvoiceLine,
      execute: ({ month, tenant }) =>
        sql`SELECT * FROM invoice_line WHERE tenant = ${tenant} AND month = ${month} ORDER BY relay, since`
    })

    return {
      addInvoice,
      addInvoiceLines,
      beginUsage,
      endUsage,
      invoiceLines,
      invoices,
      markOverdue,
      markPaid,
      openUsage,
      pastDue,
      unbilled,
      usage
    }
  })
}) {}
