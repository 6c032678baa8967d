/** What invoices must agree with: the usage that `History` computes from the journal. */
import { History, Pubkey } from "@caravel/domain"
import { DateTime, Effect } from "effect"
import { Billing } from "../src/Billing.js"
import { hasPrice, type Month, periodOf } from "../src/Price.js"

interface Line {
  readonly relay: string
  readonly plan: string
  readonly from: DateTime.Utc
  readonly to: DateTime.Utc
}

const shown = ({ from, plan, relay, to }: Line) =>
  `${relay} ${plan} ${DateTime.formatIso(from)} ${DateTime.formatIso(to)}`

/** The usage of a tenant in a month on plans that have a price. */
export const metered = Effect.fnUntraced(function*(tenant: string, month: Month) {
  const { from, to } = periodOf(month)
  const usage = yield* (yield* History).usage(tenant, from, to)
  return usage.filter(({ plan }) => hasPrice(plan)).map(shown)
})

/** The lines of all invoices of a tenant for a month. */
export const invoiced = Effect.fnUntraced(function*(tenant: string, month: Month) {
  const lines = yield* (yield* Billing).invoiceLines({ tenant: Pubkey.make(tenant), month })
  return lines.map((line) => shown({ ...line, from: line.since, to: line.until }))
})
