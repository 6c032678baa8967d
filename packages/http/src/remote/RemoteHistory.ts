/** Reads of the past. They are folded here from the events of a host, except for usage. */
import { History, type Journal, Pubkey } from "@caravel/domain"
import { decodeInput, Period } from "@caravel/domain/adapter"
import { DateTime, Effect, Record as Rec } from "effect"
import { called, type Connection } from "./Connection.js"

const decodePubkey = decodeInput(Pubkey)
const decodePeriod = decodeInput(Period)

/**
 * A tenant may read its usage, but not the events of which it is computed: the host computes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { client, options }: Connection,
  journal: typeof Journal.Service
): typeof History.Service => ({
  ...History.make(journal),
  usage: (tenant, from, to) =>
    Effect.gen(function*() {
      const pubkey = yield* decodePubkey(tenant)
      const period = Rec.map(yield* decodePeriod({ from, to }), DateTime.formatIso)
      const { items } = yield* client.history.usage({ path: { pubkey }, urlParams: period }).pipe(
        called("usage", options)
      )
      return items
    })
})
