/** `submit`: several commands, all or none. */
import {
  ActivityPubSub,
  ClearTenantPastDue,
  Command,
  type CommandRequest,
  CreateRelay,
  CreateTenant,
  DeactivateRelay,
  decodeCommand,
  Query,
  SetTenantPastDue,
  UpdateRelay,
  UpdateTenant
} from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer, Option, Redacted } from "effect"
import {
  alice,
  aliceUrl,
  bob,
  bobUrl,
  furnished,
  nobody,
  observe,
  plain,
  type Services,
  specs,
  unchangedBy
} from "./fixture.js"

const command = <Request extends CommandRequest>(_: { new(...args: never): Request }, input: object) =>
  Effect.map(decodeCommand({ _tag: _.name, ...input }), (request) => request as Request)

const createTenant = (input: object) => command(CreateTenant, input)
const createRelay = (input: object) => command(CreateRelay, input)
const updateRelay = (input: object) => command(UpdateRelay, input)

const secretOf = (pubkey: string) =>
  Effect.flatMap(Query, (query) =>
    Effect.map(query.tenant(pubkey), (tenant) => {
      const { nwcUrl } = Option.getOrThrow(tenant)
      return nwcUrl === null ? null : Redacted.value(nwcUrl)
    }))

export const submit = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "submit executes in order, later commands see earlier ones, and each returns its own result",
    Effect.gen(function*() {
      const { submit } = yield* Command
      const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
      const results = yield* submit([
        yield* createTenant({ pubkey: alice, nwcUrl: aliceUrl }),
        yield* command(SetTenantPastDue, { pubkey: alice }),
        yield* createRelay({ id: "relay-1", tenant: alice, subdomain: "one" }),
        yield* command(ClearTenantPastDue, { pubkey: alice }),
        yield* command(DeactivateRelay, { id: "relay-1" })
      ])
      expect(results.map((result: { readonly activityType: string } | void) => result?.activityType))
        .toEqual(["create_tenant", undefined, "create_relay", undefined, "deactivate_relay"])
      const { activities, events, relays, tenants } = yield* observe
      expect(events.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5])
      expect(tenants).toMatchObject([{ pubkey: alice, pastDueAt: null, nwcUrl: aliceUrl, version: 3 }])
      expect(relays).toMatchObject([{ id: "relay-1", status: "inactive", version: 2 }])
      expect(plain([...yield* queue.takeAll])).toEqual(activities)
      expect(plain(results.filter((result) => result !== undefined))).toEqual(activities)
    })
  )

  test(
    "one refusal at any place undoes all commands and their secrets",
    Effect.gen(function*() {
      yield* furnished
      const { submit } = yield* Command
      const good = [
        yield* command(UpdateTenant, { pubkey: alice, nwcUrl: bobUrl }),
        yield* createTenant({ pubkey: bob, nwcUrl: bobUrl }),
        yield* createRelay({ id: "relay-2", tenant: bob, subdomain: "two" }),
        yield* updateRelay({ id: "relay-1", subdomain: "uno" })
      ]
      const bad: CommandRequest = yield* createRelay({ id: "relay-3", tenant: nobody, subdomain: "three" })
      for (let index = 0; index <= good.length; index++) {
        const list = [...good.slice(0, index), bad, ...good.slice(index)]
        const { after, before, broadcast, result } = yield* unchangedBy(Effect.flip(submit(list)))
        expect(plain(result)).toMatchObject({ _tag: "TenantNotFound", pubkey: nobody })
        expect(after).toEqual(before)
        expect(broadcast).toEqual([])
        expect(yield* secretOf(alice)).toBe(aliceUrl)
      }
      yield* submit(good)
      expect([yield* secretOf(alice), yield* secretOf(bob)]).toEqual([bobUrl, bobUrl])
    })
  )

  test(
    "a conflict inside a list is a conflict",
    Effect.gen(function*() {
      const { submit } = yield* Command
      const tenant = yield* createTenant({ pubkey: alice })
      const { after, before, result } = yield* unchangedBy(Effect.flip(submit([tenant, tenant])))
      expect(result._tag).toBe("TenantAlreadyExists")
      expect(after).toEqual(before)
      const relays = [
        yield* createRelay({ id: "relay-1", tenant: alice, subdomain: "one" }),
        yield* createRelay({ id: "relay-2", tenant: alice, subdomain: "one" })
      ]
      expect((yield* Effect.flip(submit([tenant, ...relays])))._tag).toBe("SubdomainTaken")
      expect((yield* observe).events).toEqual([])
    })
  )

  test(
    "two relays swap their subdomains through a third in one list",
    Effect.gen(function*() {
      yield* furnished
      const { createRelay, submit } = yield* Command
      yield* createRelay({ id: "relay-2", tenant: alice, subdomain: "two" })
      yield* submit([
        yield* updateRelay({ id: "relay-1", subdomain: "between" }),
        yield* updateRelay({ id: "relay-2", subdomain: "one" }),
        yield* updateRelay({ id: "relay-1", subdomain: "two" })
      ])
      const { relays } = yield* observe
      expect(relays.map(({ id, subdomain, version }) => [id, subdomain, version]))
        .toEqual([["relay-1", "two", 6], ["relay-2", "one", 2]])
      const query = yield* Query
      expect(Option.isNone(yield* query.relayBySubdomain("between"))).toBe(true)
      expect(Option.getOrThrow(yield* query.relayBySubdomain("one")).id).toBe("relay-2")
      expect(Option.getOrThrow(yield* query.relayBySubdomain("two")).id).toBe("relay-1")
    })
  )

  test(
    "if one list sets and replaces a secret, the last one stays, and other tenants keep theirs",
    Effect.gen(function*() {
      const { submit } = yield* Command
      const update = (nwcUrl: string | null) => command(UpdateTenant, { pubkey: alice, nwcUrl })
      yield* submit([
        yield* createTenant({ pubkey: bob, nwcUrl: bobUrl }),
        yield* createTenant({ pubkey: alice, nwcUrl: aliceUrl }),
        yield* update(`${aliceUrl}-2`),
        yield* update(null),
        yield* update(`${aliceUrl}-3`)
      ])
      expect([yield* secretOf(alice), yield* secretOf(bob)]).toEqual([`${aliceUrl}-3`, bobUrl])
      yield* submit([yield* update(`${aliceUrl}-4`), yield* update(null)])
      expect([yield* secretOf(alice), yield* secretOf(bob)]).toEqual([null, bobUrl])
    })
  )

  test(
    "an empty list does nothing",
    Effect.gen(function*() {
      yield* furnished
      const { submit } = yield* Command
      const { after, before, broadcast, result } = yield* unchangedBy(submit([]))
      expect([result, broadcast]).toEqual([[], []])
      expect(after).toEqual(before)
    })
  )

  test(
    "a list of two thousand commands is all or nothing, however many statements write it",
    Effect.gen(function*() {
      const { submit } = yield* Command
      const requests: Array<CommandRequest> = [yield* createTenant({ pubkey: alice })]
      for (let n = 0; n < 2000; n++) {
        requests.push(yield* createRelay({ id: `relay-${n}`, tenant: alice, subdomain: `s-${n}` }))
      }
      const duplicate = yield* createRelay({ id: "relay-9", tenant: alice, subdomain: "last" })
      const refused = yield* unchangedBy(Effect.flip(submit([...requests, duplicate])))
      expect(refused.result._tag).toBe("RelayAlreadyExists")
      expect(refused.after).toEqual(refused.before)
      expect(refused.broadcast).toEqual([])
      const results = yield* submit(requests)
      expect(results.map((result) => result?.position)).toEqual(requests.map((_, index) => index + 1))
      expect((yield* observe).relays.length).toBe(2000)
    })
  )
}
