/**
 * Billing: usage becomes invoices, an unpaid invoice makes relays delinquent, and its payment activates them again.
 *
 * Rows and commands are written in one transaction, at each step. So you can kill a process at any point and run the
 * step again: it continues where it stopped, and does nothing twice.
 */
import { type Activity, Command, History, Pubkey, Query, RelayId } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { SqlClient } from "@effect/sql/SqlClient"
import { DateTime, type Duration, Effect, Option, Schema } from "effect"
import { Ledger, type UsageLine } from "./Ledger.js"
import { centsOf, hasPrice, Month, type Period, periodOf } from "./Price.js"

/** The month has not ended. To recover, bill it when it has. */
export class MonthNotOver extends Schema.TaggedError<MonthNotOver>()("MonthNotOver", { month: Month }) {
  override get message() {
    return `${this.month} is not over`
  }
}

/** The worker has not recorded all usage of the month. To recover, start the worker and run the job again. */
export class UsageIncomplete extends Schema.TaggedError<UsageIncomplete>()("UsageIncomplete", {
  month: Month,
  position: Schema.Int
}) {
  override get message() {
    return `The worker has not reached position ${this.position}, where ${this.month} ends; is it running?`
  }
}

/** The tenant has no invoice for the month. */
export class InvoiceNotFound extends Schema.TaggedError<InvoiceNotFound>()("InvoiceNotFound", {
  tenant: Schema.String,
  month: Month
}) {
  override get message() {
    return `${this.tenant} has no invoice for ${this.month}`
  }
}

/** The name of the worker's consumer. */
const name = "billing"

/** How long a tenant has to pay, from the end of the month. */
const daysToPay = 14

export class Billing extends Effect.Service<Billing>()("example/Billing", {
  dependencies: [Ledger.Default],
  effect: Effect.gen(function*() {
    const sql = yield* SqlClient
    const command = yield* Command
    const query = yield* Query
    const history = yield* History
    const consumer = yield* Consumer.Consumer
    const ledger = yield* Ledger

    /** Records what an activity of a relay changes about its usage. The consumer calls it in its transaction. */
    const record = Effect.fn("Billing.record")(function*({ createdAt, position, resourceId, tenant }: Activity) {
      const relay = RelayId.make(resourceId)
      // As it was then: it may have changed since, and later activities record that.
      const state = yield* history.relay(relay, position)
      const plan = state.pipe(
        Option.filter(({ plan, status }) => status === "active" && hasPrice(plan)),
        Option.map(({ plan }) => plan)
      )
      const open = Option.map(yield* ledger.openUsage(relay), ({ plan }) => plan)
      if (Option.getOrNull(plan) === Option.getOrNull(open)) return
      yield* ledger.endUsage({ relay, until: createdAt })
      if (Option.isNone(plan)) return
      yield* ledger.beginUsage({ position, relay, tenant, plan: plan.value, since: createdAt })
    })

    /** Adds the invoice of a tenant, and returns nothing if there is one already. An invoice of 0 cents is paid. */
    const bill = (tenant: Pubkey, month: Month, now: DateTime.Utc) =>
      sql.withTransaction(Effect.gen(function*() {
        const period = periodOf(month)
        const lines = (yield* ledger.usage({ tenant, ...period })).map((line) => {
          const { plan, position: usage, relay } = line
          const part = partOf(line, period)
          const cents = centsOf(plan, part, period)
          return { tenant, month, usage, relay, plan, since: part.from, until: part.to, cents }
        })
        const cents = lines.reduce((sum, { cents }) => sum + cents, 0)
        const due = DateTime.add(period.to, { days: daysToPay })
        // Nobody pays 0 cents.
        const paid = cents === 0 ? now : null
        const added = yield* ledger.addInvoice({ tenant, month, cents, due, overdue: null, paid })
        if (Option.isSome(added)) yield* ledger.addInvoiceLines(lines)
        return added
      }))

    /** Adds an invoice for each tenant that had a relay on a plan with a price in the month, and has no invoice yet. */
    const closeMonth = Effect.fn("Billing.closeMonth")(function*(month: Month, now: DateTime.Utc) {
      const period = periodOf(month)
      if (DateTime.lessThan(now, period.to)) return yield* new MonthNotOver({ month })
      const position = yield* history.position(period.to)
      yield* consumer.awaitPosition(name, position).pipe(
        Effect.timeoutFail({
          duration: "10 seconds",
          onTimeout: () => new UsageIncomplete({ month, position })
        })
      )
      for (const { tenant } of yield* ledger.unbilled({ month, ...period })) {
        const added = yield* bill(tenant, month, now)
        if (Option.isSome(added)) yield* Effect.log(`${tenant} owes ${added.value.cents} cents for ${month}`)
      }
    })

    const hasOverdue = (tenant: Pubkey) =>
      Effect.map(
        ledger.invoices(tenant),
        (invoices) => invoices.some(({ overdue, paid }) => overdue !== null && paid === null)
      )

    const markPastDue = (tenant: Pubkey, month: Month, now: DateTime.Utc) =>
      sql.withTransaction(Effect.gen(function*() {
        const isFirst = !(yield* hasOverdue(tenant))
        // Another job may have marked it, or the tenant paid.
        const marked = yield* ledger.markOverdue({ tenant, month, now })
        if (Option.isNone(marked)) return marked
        if (isFirst) yield* command.setTenantPastDue(tenant)
        for (const relay of yield* query.relaysOf(tenant)) {
          if (relay.status === "active") yield* command.markRelayDelinquent(relay)
        }
        return marked
      }))

    /** Marks invoices that are past due, their tenants, and the active relays of those tenants. */
    const collect = Effect.fn("Billing.collect")(function*(now: DateTime.Utc) {
      for (const { month, tenant } of yield* ledger.pastDue(now)) {
        const marked = yield* markPastDue(tenant, month, now)
        if (Option.isSome(marked)) yield* Effect.log(`${tenant} is past due for ${month}`)
      }
    })

    /**
     * Marks an invoice as paid. If it was the tenant's last overdue one, the tenant's delinquent relays are activated.
     * Relays that their owner switched off stay inactive. A second payment changes nothing.
     */
    const pay = Effect.fn("Billing.pay")(function*(pubkey: string, month: Month, now: DateTime.Utc) {
      const tenant = yield* Schema.decode(Pubkey)(pubkey)
      yield* sql.withTransaction(Effect.gen(function*() {
        const invoices = yield* ledger.invoices(tenant)
        if (!invoices.some((invoice) => invoice.month === month)) return yield* new InvoiceNotFound({ tenant, month })
        const paid = yield* ledger.markPaid({ tenant, month, now })
        if (Option.isNone(paid) || paid.value.overdue === null || (yield* hasOverdue(tenant))) return
        yield* command.clearTenantPastDue(tenant)
        for (const relay of yield* query.relaysOf(tenant)) {
          if (relay.status === "delinquent") yield* command.activateRelay(relay)
        }
      }))
    })

    return { record, closeMonth, collect, pay, invoices: ledger.invoices, invoiceLines: ledger.invoiceLines }
  })
}) {}

/** The part of a line within a period into which it reaches. */
const partOf = ({ since, until }: UsageLine, { from, to }: Period): Period => ({
  from: DateTime.max(since, from),
  to: until === null ? to : DateTime.min(until, to)
})

/** The consumer that records usage. Several processes may run it: one works, and the others stand by. */
export const worker = (leaseDuration?: Duration.DurationInput) =>
  Consumer.layer({
    name,
    from: "beginning",
    // What can change a relay's status or plan. A relay that becomes delinquent is `deactivate_relay` too.
    filter: { activityType: ["create_relay", "update_relay", "deactivate_relay", "activate_relay"] },
    handle: (activity) => Effect.flatMap(Billing, (billing) => billing.record(activity)),
    // The lines are committed with the checkpoint, so each activity counts exactly once.
    transactional: true,
    leaseDuration,
    fatal: true
  })
