import { Pubkey, Query, type Tenant } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { expect, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"

const pages = 6

const tenants = Array.from(
  { length: pages * 500 },
  // Only the key matters to a stream.
  (_, n) => ({ pubkey: Pubkey.make(n.toString(16).padStart(64, "0")) }) as Tenant
)

const { streamTenants } = Query.make({
  tenant: () => Effect.never,
  findTenants: ({ after = "", limit }) =>
    Effect.sync(() => tenants.filter(({ pubkey }) => pubkey > after).slice(0, limit)),
  relay: () => Effect.never,
  relayBySubdomain: () => Effect.never,
  findRelays: () => Effect.never,
  activity: () => Effect.never
})

it.live("a stream of rows lets timers and sockets have their turn between two pages", () =>
  Effect.gen(function*() {
    let turns = 0
    yield* Effect.fork(Effect.forever(Effect.map(nextTurn, () => turns++)))
    const all = yield* Stream.runCollect(streamTenants())
    expect(Chunk.toReadonlyArray(all)).toEqual(tenants)
    expect(turns).toBeGreaterThanOrEqual(pages - 1)
  }))
