/** The contract of `Journal`. */
import { Command, evolve, Journal, Position, Pubkey, Query, type State, stateOf } from "@caravel/domain"
import { describe, expect } from "@effect/vitest"
import { Effect, HashMap, type Layer } from "effect"
import { cases } from "./internal/cases.js"
import {
  alice,
  furnished,
  invoke,
  journalAfter,
  plain,
  plainRelay,
  plainTenant,
  type Services,
  specs
} from "./internal/fixture.js"

const everything = Effect.gen(function*() {
  yield* furnished
  yield* Effect.forEach(cases, ({ args, key, method }) => invoke(method, args(key)))
})

/** The rows of a state as `Query` returns them. A secret is replaced by whether it is set. */
const rowsOf = ({ relays, tenants }: State) => ({
  tenants: [...HashMap.values(tenants)]
    .map((tenant) => ({ ...plain(tenant), nwcUrl: tenant.nwcUrl !== null }))
    .sort((a, b) => a.pubkey < b.pubkey ? -1 : 1),
  relays: [...HashMap.values(relays)].map(plain).sort((a, b) => a.id < b.id ? -1 : 1)
})

const rowsNow = Effect.gen(function*() {
  const query = yield* Query
  return {
    tenants: (yield* query.tenants).map((tenant) => ({ ...plainTenant(tenant), nwcUrl: tenant.nwcUrl !== null })),
    relays: (yield* query.relays).map(plainRelay)
  }
})

/**
 * Proves an adapter's `Journal`: its order, its pages, and that folding it results in the rows.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  describe(`Journal: ${name}`, () => {
    const test = specs(layer)

    test(
      "an empty journal ends at 0",
      Effect.gen(function*() {
        const journal = yield* Journal
        expect(yield* journal.head).toBe(0)
        expect(yield* journal.read(Position.make(0), 10)).toEqual([])
        expect(yield* journal.read(Position.make(7), 10)).toEqual([])
      })
    )

    test(
      "events have the positions 1, 2, 3 and so on, and read returns those after a position, up to its limit",
      Effect.gen(function*() {
        yield* everything
        const journal = yield* Journal
        const events = plain(yield* journalAfter())
        const count = 8 + 17
        expect(events.map(({ position }) => position)).toEqual(Array.from({ length: count }, (_, n) => n + 1))
        expect(yield* journal.head).toBe(count)
        for (let after = 0; after <= count + 1; after++) {
          for (const limit of [0, 1, 2, 7, count, 1000]) {
            expect(plain(yield* journal.read(Position.make(after), limit))).toEqual(events.slice(after, after + limit))
          }
        }
      })
    )

    test(
      "a limit of Infinity returns all events, and one below 1 none",
      Effect.gen(function*() {
        yield* furnished
        const { read, readResource, readTenant } = yield* Journal
        const tenant = Pubkey.make(alice)
        const start = Position.make(0)
        for (const [limit, ...counts] of [[Infinity, 8, 4, 4], [0, 0, 0, 0], [-1, 0, 0, 0]] as const) {
          const pages = yield* Effect.all([
            read(start, limit),
            readResource({ resourceType: "tenant", resourceId: tenant }, 0, limit),
            readTenant(tenant, start, limit)
          ])
          expect(pages.map(({ length }) => length)).toEqual(counts)
        }
      })
    )

    test(
      "the journal's epoch begins before its first event and does not change",
      Effect.gen(function*() {
        const journal = yield* Journal
        const epoch = yield* journal.epoch
        yield* furnished
        expect(yield* journal.epoch).toBe(epoch)
        expect(yield* journal.epochs).toMatchObject([{ epoch, position: 0 }])
      })
    )

    test(
      "a refused command takes no position",
      Effect.gen(function*() {
        yield* furnished
        const journal = yield* Journal
        yield* Effect.flip(invoke("createTenant", [{ pubkey: alice }]))
        yield* Effect.flip(invoke("activateRelay", [{ id: "missing" }]))
        expect(yield* journal.head).toBe(8)
        yield* invoke("activateRelay", [{ id: "relay-1" }])
        expect((yield* journal.read(Position.make(8), 9)).map(({ _tag, position }) => [_tag, position]))
          .toEqual([["RelayActivated", 9]])
      })
    )

    test(
      "folding the journal with evolve results in the rows, after every command",
      Effect.gen(function*() {
        let state = stateOf([], [])
        let folded = 0
        const check = Effect.gen(function*() {
          for (const event of yield* journalAfter(folded)) {
            state = evolve(state, event)
            folded = event.position
          }
          expect(rowsOf(state)).toEqual(yield* rowsNow)
        })
        yield* furnished
        yield* check
        for (const { args, key, method } of cases) {
          yield* invoke(method, args(key))
          yield* check
        }
        const command = yield* Command
        yield* command.updateRelay({ id: "relay-1", subdomain: "again", plan: null, infoName: null })
        yield* command.updateTenant({ pubkey: alice, nwcUrl: null })
        yield* check
        expect(folded).toBe(8 + 17 + 2)
      })
    )

    test(
      "what a command passes comes back unchanged, whatever the text",
      Effect.gen(function*() {
        const texts = ["", "'; drop table relay; --", "\"\\\n\t\r", "⛵ é 漢字 \u{1F600}", "null", "x".repeat(10_000)]
        const command = yield* Command
        const query = yield* Query
        yield* command.createTenant({ pubkey: alice })
        for (const [n, text] of texts.entries()) {
          yield* command.createRelay({ id: `r${n}`, tenant: alice, subdomain: `s${n}`, infoName: text })
          yield* command.failRelaySync({ id: `r${n}` }, text)
          yield* command.setTenantNwcError(alice, text)
          expect((yield* query.relay(`r${n}`)).pipe(plain)).toMatchObject({
            value: { infoName: text, syncError: text }
          })
          expect((yield* query.tenant(alice)).pipe(plain)).toMatchObject({ value: { nwcError: text } })
        }
        const changes = (yield* journalAfter()).map(({ changes }) => changes)
        expect(
          changes.filter((change) => "infoName" in change).map((change) => "infoName" in change && change.infoName)
        )
          .toEqual(texts)
      })
    )
  })
}
