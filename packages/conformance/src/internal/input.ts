/** Callers' input: accepted input can be read back, and malformed input is refused with the name of the field. */
import {
  Command,
  CreateTenant,
  issuesOf,
  Journal,
  Position,
  Pubkey,
  Query,
  SetTenantNwcError,
  SetTenantSubscription
} from "@caravel/domain"
import { ConsumerStore } from "@caravel/pubsub"
import { expect } from "@effect/vitest"
import { Cause, Chunk, Effect, type Layer, Option, ParseResult, Redacted, Stream } from "effect"
import {
  alice,
  aliceUrl,
  atMillis,
  bob,
  bobUrl,
  furnished,
  invoke,
  observe,
  plain,
  relayDefaults,
  type Services,
  specs,
  unchangedBy
} from "./fixture.js"

/** `submit` as in plain JavaScript, without types. */
export const submit = (commands: unknown) =>
  Effect.flatMap(
    Command,
    (command) =>
      (command.submit as (
        commands: unknown
      ) => Effect.Effect<ReadonlyArray<unknown>, { readonly _tag: string; readonly message: string }>)(commands)
  )

export const good = { _tag: "SetTenantPastDue", pubkey: alice }

const forged = (Class: { readonly prototype: object }, values: object) =>
  Object.assign(Object.create(Class.prototype), values)

const mutated = () =>
  Object.assign(new CreateTenant({ pubkey: Pubkey.make(bob), nwcUrl: null, stripeCustomerId: null }), {
    stripeCustomerId: 5
  })

/** Malformed commands, and the place that the error names. */
const malformed: ReadonlyArray<readonly [input: unknown, place: RegExp]> = [
  [null, /^1: /],
  [undefined, /^1: /],
  ["CreateTenant", /^1: /],
  [{}, /^1\._tag: /],
  [{ _tag: "Nothing", id: "a" }, /^1\._tag: /],
  [{ _tag: "constructor", id: "a" }, /^1\._tag: /],
  [{ _tag: "__proto__", id: "a" }, /^1\._tag: /],
  [{ _tag: ["CreateTenant"], pubkey: bob }, /^1\._tag: /],
  [{ _tag: "CreateTenant", pubkey: "BAD" }, /^1\.pubkey: /],
  [{ _tag: "CreateTenant" }, /^1\.pubkey: /],
  [{ _tag: "CreateTenant", pubkey: bob, nwcUrl: "https://SECRET" }, /^1\.nwcUrl: /],
  [{ _tag: "CreateTenant", pubkey: bob, nwcUrl: Redacted.make({ deep: "SECRET" }) }, /^1\.nwcUrl: /],
  [{ _tag: "SetTenantNwcError", pubkey: alice, nwcError: { deep: 1 } }, /^1\.nwcError: /],
  [{ _tag: "SetTenantSubscription", pubkey: alice, stripeSubscriptionId: "nul\0" }, /^1\.stripeSubscriptionId: /],
  [{ _tag: "UpdateRelay", id: "relay-1", infoName: "\ud800" }, /^1\.infoName: /],
  [{ _tag: "UpdateRelay", id: "relay-1", pushEnabled: 1n }, /^1\.pushEnabled: /],
  [mutated(), /^1\.stripeCustomerId: /],
  [forged(SetTenantSubscription, { _tag: "SetTenantSubscription", pubkey: alice }), /^1\.stripeSubscriptionId: /],
  [forged(SetTenantNwcError, { _tag: "SetTenantNwcError", pubkey: "BAD", nwcError: "" }), /^1\.pubkey: /]
]

/** Expects that everything can be read, folded and verified. */
export const readable = Effect.gen(function*() {
  const journal = yield* Journal
  const before = yield* observe
  const steps = Chunk.toReadonlyArray(yield* Stream.runCollect(journal.verify))
  expect(steps.flatMap(({ differences }) => differences)).toEqual([])
  yield* journal.rebuild()
  expect(yield* observe).toEqual(before)
  return before
})

export const input = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "submit accepts what methods accept: plain values, whole models and instances",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const model = Option.getOrThrow(yield* Effect.flatMap(Query, ({ relay }) => relay("relay-1")))
      const results = yield* command.submit([
        { _tag: "CreateTenant", pubkey: bob, nwcUrl: bobUrl },
        { ...model, _tag: "CreateRelay", id: "relay-2", tenant: bob, subdomain: "two" },
        { _tag: "UpdateTenant", pubkey: alice, nwcUrl: Redacted.make(`${aliceUrl}-2`) },
        new SetTenantNwcError({ pubkey: Pubkey.make(bob), nwcError: "no route" }),
        { _tag: "UpdateRelay", id: "relay-1", plan: null }
      ])
      expect(results.map((activity) => activity?.activityType))
        .toEqual(["create_tenant", "create_relay", "update_tenant", undefined, "update_relay"])
      const { relays, tenants } = yield* readable
      expect(tenants).toMatchObject([{ pubkey: bob, nwcUrl: bobUrl, nwcError: "no route" }, {
        nwcUrl: `${aliceUrl}-2`
      }])
      expect(relays).toMatchObject([
        { id: "relay-1", plan: "free", infoName: "One" },
        { ...relayDefaults, id: "relay-2", tenant: bob, plan: "growth", infoName: "One" }
      ])
    })
  )

  test(
    "submit refuses malformed commands with a ParseError that names the index and the field, and writes nothing",
    Effect.gen(function*() {
      yield* furnished
      for (const [input, place] of malformed) {
        const { after, before, broadcast, result } = yield* unchangedBy(Effect.flip(submit([good, input, good])))
        expect(ParseResult.isParseError(result)).toBe(true)
        expect(issuesOf(result as ParseResult.ParseError)[0]).toMatch(place)
        expect(`${result.message} ${JSON.stringify(result)}`).not.toContain("SECRET")
        expect([after, broadcast]).toEqual([before, []])
      }
      for (const list of [null, undefined, 5, "ab", {}, good, new Set([good]), { length: 1, 0: good }]) {
        expect((yield* Effect.flip(submit(list)))._tag).toBe("ParseError")
      }
      expect((yield* Effect.flip(submit([good, , good])))._tag).toBe("ParseError")
      yield* readable
    })
  )

  test(
    "a message begins with the field and with what is wrong",
    Effect.gen(function*() {
      const relay = { id: "relay-1", tenant: alice, subdomain: "one" }
      const create = (fields: object) => invoke("createRelay", [{ ...relay, ...fields }])
      const failures: ReadonlyArray<readonly [Effect.Effect<unknown, { readonly message: string }, Command>, string]> =
        [
          [invoke("createRelay", [{ id: "relay-1", tenant: alice }]), "subdomain: is missing"],
          [create({ pushEnabled: "yes" }), "pushEnabled: Expected boolean, actual \"yes\""],
          [create({ tenant: "short" }), "tenant: Expected a public key of 64 lower-case hex characters, got \"short\""],
          [
            create({ tenant: aliceUrl }),
            "tenant: Expected a public key of 64 lower-case hex characters, got \"<redacted>\""
          ],
          [create({ pushEnabled: aliceUrl }), "pushEnabled: Expected boolean, actual \"<redacted>\""],
          [create({ infoName: "x".repeat(65_537) }), "infoName: Expected text of at most 65536 characters, got 65537"],
          [
            invoke("createTenant", [{ pubkey: alice, nwcUrl: "SECRET" }]),
            "nwcUrl: Expected a URL that begins with nostr+walletconnect://"
          ],
          [
            submit([good, { ...relay, _tag: "CreateRelay", id: 5 }]),
            "1.id: Expected a relay id of 1 to 64 letters, digits, _ and -, got 5"
          ],
          [
            submit([{ ...relay, _tag: "CreateRely" }]),
            "0._tag: Expected the tag of a command, such as CreateRelay, got \"CreateRely\""
          ],
          [
            Command.withMetadata({ actr: "me" } as object)(invoke("createRelay", [relay])),
            "actr: is unexpected, expected: \"actor\" | \"correlationId\" | \"causationId\""
          ]
        ]
      for (const [failure, message] of failures) {
        const error = yield* Effect.flip(Effect.asVoid(failure))
        expect(error.message).toBe(message)
        expect(Cause.pretty(Cause.fail(error)).split("\n")[0]).toBe(`ParseError: ${message}`)
      }
    })
  )

  test(
    "changes to an object after it was submitted have no effect",
    Effect.gen(function*() {
      yield* furnished
      const command = { _tag: "SetTenantSubscription", pubkey: alice, stripeSubscriptionId: "sub_1" }
      let reads = 0
      Object.defineProperty(command, "stripeSubscriptionId", {
        enumerable: true,
        get: () => reads++ === 0 ? "sub_1" : 5
      })
      const list = [command]
      const submitted = yield* Effect.fork(submit(list))
      yield* Effect.yieldNow()
      list.length = 0
      yield* submitted.await
      expect((yield* readable).tenants).toMatchObject([{ stripeSubscriptionId: "sub_1" }])
    })
  )

  for (const id of ["constructor", "toString", "__proto__", "hasOwnProperty", "valueOf", "length"]) {
    test(
      `a relay may have the id ${id}, and its commands keys, metadata and expected versions`,
      Effect.gen(function*() {
        const command = yield* Command
        yield* command.createTenant({ pubkey: alice })
        const send = (version: number, list: ReadonlyArray<object>) =>
          submit(list).pipe(
            Command.expecting(version),
            Command.withIdempotencyKey(`${id} ${version}`),
            Command.withMetadata({ actor: id })
          )
        const create = { _tag: "CreateRelay", id, tenant: alice, subdomain: "one", infoName: id }
        const first = yield* send(0, [create])
        expect(plain(yield* send(0, [create]))).toEqual(plain(first))
        const changes = [{ _tag: "UpdateRelay", id, plan: null }, { _tag: "FailRelaySync", id, syncError: id }]
        const second = yield* send(1, changes)
        expect(plain(yield* send(1, changes))).toEqual(plain(second))
        expect((yield* Effect.flip(command.activateRelay({ id }).pipe(Command.withIdempotencyKey(`${id} 0`))))._tag)
          .toBe("IdempotencyConflict")
        const missing = command.activateRelay({ id: `${id}_` }).pipe(Command.withIdempotencyKey("missing"))
        expect((yield* Effect.flip(missing))._tag).toBe("RelayNotFound")
        expect((yield* readable).relays).toMatchObject([{ id, infoName: id, syncError: id, version: 3 }])
      })
    )
  }

  test(
    "a fractional clock is rounded down to a millisecond, and an invalid clock is refused before anything is written",
    Effect.gen(function*() {
      const store = yield* ConsumerStore.ConsumerStore
      const command = yield* Command
      yield* command.createTenant({ pubkey: alice }).pipe(atMillis(1.5))
      yield* command.setTenantPastDue(alice).pipe(Command.withIdempotencyKey("key"), atMillis(253_402_300_799_999.9))
      yield* store.checkpoints.register("mail", Position.make(0), {})
      const lease = Option.getOrThrow(
        yield* store.leases.acquire("mail", "run", { fence: 0, heartbeat: 0, owner: null }, "me")
      )
      yield* store.checkpoints.move(lease, Position.make(0), Position.make(1)).pipe(atMillis(2.25))
      const wrong = [-0.5, -1, NaN, Infinity, -Infinity, 253_402_300_800_000, 2 ** 48, 8.64e15, 1e21]
      const { after, before, result } = yield* unchangedBy(Effect.forEach(wrong, (millis) =>
        Effect.all([
          Effect.flip(command.setTenantPastDue(alice)),
          Effect.flip(submit([good])),
          Effect.flip(command.setTenantPastDue(alice).pipe(Command.withIdempotencyKey("key"))),
          Effect.flip(store.checkpoints.move(lease, Position.make(1), Position.make(2)))
        ]).pipe(atMillis(millis))))
      for (const { _tag, message } of result.flat()) {
        expect([_tag, message]).toEqual(["StorageError", expect.stringContaining("clock")])
      }
      expect(after).toEqual(before)
      const { events, tenants } = yield* readable
      expect(events.map(({ createdAt }) => createdAt)).toEqual(["1970-01-01T00:00:00.001Z", "9999-12-31T23:59:59.999Z"])
      expect(tenants).toMatchObject([{ createdAt: events[0]!.createdAt, pastDueAt: events[1]!.createdAt }])
      expect(plain(yield* store.checkpoints.list)).toMatchObject([{
        position: 1,
        progressedAt: "1970-01-01T00:00:00.002Z"
      }])
    })
  )

  test(
    "a diagnostic may be any text: characters that a database cannot store are replaced, and long texts are shortened",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.failRelaySync({ id: "relay-1" }, "upstream said \0 and \ud800")
      yield* submit([{ _tag: "SetTenantNwcError", pubkey: alice, nwcError: "\u{1F600}".repeat(10_000_000) }])
      const { relays: [relay], tenants: [tenant] } = yield* readable
      expect(relay?.syncError).toBe("upstream said \ufffd and \ufffd")
      expect([tenant?.nwcError?.length, tenant?.nwcError?.endsWith("\u{1F600}…")]).toEqual([9999, true])
    })
  )
}
