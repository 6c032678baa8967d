/** `Command.withIdempotencyKey`: a command that is repeated with its key takes effect once. */
import { ActivityPubSub, Command, decodeCommand } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Fiber, type Layer } from "effect"
import { cases } from "./cases.js"
import {
  alice,
  aliceUrl,
  at,
  bob,
  bobUrl,
  furnished,
  invoke,
  journalAfter,
  observe,
  plain,
  refusalsOf,
  type Services,
  specs,
  unchangedBy
} from "./fixture.js"
import type { PlainCommand } from "./model.js"

const keyed = Command.withIdempotencyKey

const copies = <A>(count: number, one: A): ReadonlyArray<A> => Array.from({ length: count }, () => one)

const subscribe = Effect.flatMap(ActivityPubSub, (pubsub) => pubsub.subscribe)

const decode = (...commands: ReadonlyArray<PlainCommand>) =>
  Effect.forEach(commands, (command) => decodeCommand(command))

export const idempotency = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const { args, key, method } of cases) {
    test(
      `${method} returns its first answer again, sequentially and concurrently, without a second event or broadcast`,
      Effect.gen(function*() {
        yield* furnished
        const queue = yield* subscribe
        const call = keyed("key")(invoke(method, args(key)))
        const answers = [
          ...yield* Effect.all(copies(20, call), { concurrency: "unbounded" }),
          yield* call,
          // Commands in between do not change the answer.
          yield* Effect.zipRight(invoke("activateRelay", [{ id: "relay-1" }]), call)
        ]
        expect(plain(answers)).toEqual(plain(copies(22, answers[0])))
        const events = yield* journalAfter(8)
        expect(events.length).toBe(2)
        const broadcast = yield* queue.takeAll
        expect(plain([...broadcast].slice(0, -1))).toEqual(answers[0] === undefined ? [] : [plain(answers[0])])
      })
    )
  }

  test(
    "a refusal is returned again even if its reason no longer holds",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const calls = [
        keyed("1")(command.activateRelay({ id: "later" })),
        keyed("2")(command.setTenantPastDue(bob)),
        keyed("3")(command.createRelay({ id: "other", tenant: alice, subdomain: "one" })),
        keyed("4")(command.createRelay({ id: "relay-1", tenant: alice, subdomain: "free" })),
        keyed("5")(command.createTenant({ pubkey: alice })),
        keyed("6")(Command.expecting(5)(command.activateRelay({ id: "relay-1" })))
      ]
      const refusals = yield* refusalsOf(calls)
      expect(refusals.map(({ _tag }) => _tag)).toEqual([
        "RelayNotFound",
        "TenantNotFound",
        "SubdomainTaken",
        "RelayAlreadyExists",
        "TenantAlreadyExists",
        "VersionConflict"
      ])
      yield* command.createTenant({ pubkey: bob })
      yield* command.createRelay({ id: "later", tenant: bob, subdomain: "later" })
      yield* command.updateRelay({ id: "relay-1", subdomain: "uno" })
      const { after, before, broadcast, result } = yield* unchangedBy(refusalsOf(calls))
      expect(result).toEqual(refusals)
      expect(result.map(({ message }) => message)).toEqual(refusals.map(({ message }) => message))
      expect(after).toEqual(before)
      expect(broadcast).toEqual([])
    })
  )

  test(
    "the same key with a different command of the same tenant is a conflict",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const relay = { id: "relay-2", tenant: alice, subdomain: "two" }
      yield* keyed("key")(command.createRelay(relay))
      yield* keyed("wallet")(command.updateTenant({ pubkey: alice, nwcUrl: aliceUrl }))
      const twice = yield* decode({ _tag: "CreateRelay", ...relay }, { _tag: "CreateRelay", ...relay })
      const { after, before, broadcast, result } = yield* unchangedBy(refusalsOf([
        keyed("key")(command.createRelay({ ...relay, plan: "basic" })),
        keyed("key")(command.activateRelay({ id: "relay-2" })),
        keyed("key")(command.activateRelay({ id: "relay-1" })),
        keyed("key")(command.setTenantPastDue(alice)),
        keyed("key")(Command.expecting(0)(command.createRelay(relay))),
        Effect.asVoid(keyed("key")(command.submit(twice))),
        keyed("wallet")(command.updateTenant({ pubkey: alice, nwcUrl: bobUrl })),
        keyed("wallet")(command.updateTenant({ pubkey: alice, nwcUrl: null })),
        keyed("wallet")(command.updateTenant({ pubkey: alice }))
      ]))
      expect(result.map((refusal) => [refusal._tag, "key" in refusal && refusal.key])).toEqual([
        ...copies(6, ["IdempotencyConflict", "key"]),
        ...copies(3, ["IdempotencyConflict", "wallet"])
      ])
      expect(JSON.stringify(result)).not.toContain("SECRET")
      expect(after).toEqual(before)
      expect(broadcast).toEqual([])
      // Another key makes another command. A field with its default value makes the same command as an absent field.
      yield* keyed("another")(command.activateRelay({ id: "relay-2" }))
      yield* keyed("key")(command.createRelay({ ...relay, plan: null, infoName: "" }))
    })
  )

  test(
    "tenants may use the same key",
    Effect.gen(function*() {
      const command = yield* Command
      const both = [alice, bob]
      const world = Effect.forEach(both, (pubkey, n) =>
        Effect.gen(function*() {
          yield* keyed("1")(command.createTenant({ pubkey }))
          yield* keyed("2")(command.createRelay({ id: `r${n}`, tenant: pubkey, subdomain: `s${n}` }))
          yield* keyed("3")(command.deactivateRelay({ id: `r${n}` }))
          yield* keyed("4")(command.setTenantPastDue(pubkey))
        }))
      yield* world
      expect((yield* observe).events.length).toBe(8)
      yield* world
      expect((yield* observe).events.length).toBe(8)
    })
  )

  test(
    "metadata may differ between attempts; the metadata of the first is stored",
    Effect.gen(function*() {
      const { createTenant } = yield* Command
      const create = keyed("key")(createTenant({ pubkey: alice }))
      const answers = yield* Effect.forEach(
        ["first", "second"],
        (correlationId) => Command.withMetadata({ correlationId })(create)
      )
      expect(plain(answers[0])).toEqual(plain(answers[1]))
      expect((yield* journalAfter()).map(({ metadata }) => metadata)).toEqual([{ correlationId: "first" }])
    })
  )

  test(
    "a list counts as one command, and a list of one as that command",
    Effect.gen(function*() {
      const command = yield* Command
      const list = yield* decode(
        { _tag: "CreateTenant", pubkey: alice, nwcUrl: aliceUrl },
        { _tag: "SetTenantPastDue", pubkey: alice },
        { _tag: "CreateRelay", id: "a", tenant: alice, subdomain: "a" }
      )
      const submit = keyed("key")(command.submit(list))
      const answers = yield* Effect.all([submit, submit, submit], { concurrency: "unbounded" })
      expect(answers[0].map((answer) => answer === undefined)).toEqual([false, true, false])
      expect(plain(answers)).toEqual(copies(3, plain(answers[0])))
      expect((yield* observe).events.length).toBe(3)

      const fewer = keyed("key")(command.submit(list.slice(0, 2)))
      expect((yield* Effect.flip(fewer))._tag).toBe("IdempotencyConflict")
      const other = keyed("key")(command.submit([list[0]!, list[2]!, list[1]!]))
      expect((yield* Effect.flip(other))._tag).toBe("IdempotencyConflict")
      expect(yield* keyed("key")(command.submit([]))).toEqual([])

      const one = yield* keyed("one")(command.activateRelay({ id: "a" }))
      const [same] = yield* keyed("one")(command.submit(yield* decode({ _tag: "ActivateRelay", id: "a" })))
      expect(plain(same)).toEqual(plain(one))
    })
  )

  test(
    "a refused list is refused again and changes nothing",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const list = yield* decode(
        { _tag: "ActivateRelay", id: "relay-1" },
        { _tag: "ActivateRelay", id: "later" }
      )
      const submit = Effect.flip(keyed("key")(command.submit(list)))
      const first = yield* submit
      yield* command.createRelay({ id: "later", tenant: alice, subdomain: "later" })
      const { after, before, result } = yield* unchangedBy(submit)
      expect(plain(result)).toEqual(plain(first))
      expect(plain(result)).toMatchObject({ _tag: "RelayNotFound", id: "later" })
      expect(after).toEqual(before)
    })
  )

  test(
    "a key is for one command: a different second one inside is a conflict, and the same one returns the first answer",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const [activate, deactivate] = [
        command.activateRelay({ id: "relay-1" }),
        command.deactivateRelay({ id: "relay-1" })
      ]
      const [first, second] = yield* keyed("key")(Effect.all([activate, activate]))
      expect(plain(first)).toEqual(plain(second))
      expect((yield* Effect.flip(keyed("key")(Effect.zipRight(activate, deactivate))))._tag).toBe("IdempotencyConflict")
      yield* keyed("key")(Effect.zipRight(activate, keyed("inner")(deactivate)))
      expect((yield* observe).events.length).toBe(8 + 2)
    })
  )

  test(
    "only fibers that are forked inside inherit the key",
    Effect.gen(function*() {
      yield* furnished
      const { activateRelay } = yield* Command
      const activate = activateRelay({ id: "relay-1" })
      const go = yield* Deferred.make<void>()
      const fiber = yield* keyed("key")(
        Effect.zipRight(activate, Effect.forkDaemon(Effect.zipRight(Deferred.await(go), activate)))
      )
      yield* activate
      yield* Deferred.succeed(go, undefined)
      expect((yield* Fiber.join(fiber)).position).toBe(9)
      expect((yield* activate).position).toBe(11)
    })
  )

  test(
    "keys are kept for seven days and can then be reused",
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: alice })
      const set = (error: string) => keyed("key")(command.setTenantNwcError(alice, error))
      const count = Effect.map(observe, ({ events }) => events.length)
      // Another process's clock was ahead.
      yield* keyed("ahead")(command.setTenantNwcError(alice, "ahead")).pipe(at("2026-03-01T00:00:00.000Z"))
      yield* set("one").pipe(at("2026-01-01T00:00:00.000Z"))
      yield* set("one").pipe(at("2026-01-07T23:59:59.999Z"))
      expect(yield* count).toBe(3)
      yield* set("two").pipe(at("2026-01-08T00:00:00.000Z"))
      expect(yield* count).toBe(4)
      yield* set("two").pipe(at("2026-01-14T00:00:00.000Z"))
      const conflict = yield* Effect.flip(set("one").pipe(at("2026-01-14T00:00:00.000Z")))
      expect(conflict._tag).toBe("IdempotencyConflict")
      expect(yield* count).toBe(4)
    })
  )

  test(
    "a malformed key is a ParseError before anything inside runs, and the error does not contain it",
    Effect.gen(function*() {
      for (const key of ["", "x".repeat(257), "nul\0", "\ud800", 5, null, undefined]) {
        const error = yield* Effect.flip(keyed(key as string)(Effect.dieMessage("ran")))
        expect(error._tag).toBe("ParseError")
        expect(error.message).not.toContain("xxxxxxxx")
      }
    })
  )

  test(
    "keys, expected versions and metadata can be combined in any order",
    Effect.gen(function*() {
      yield* furnished
      const { activateRelay } = yield* Command
      const activate = activateRelay({ id: "relay-1" })
      const one = activate.pipe(Command.expecting(4), keyed("key"), Command.withMetadata({ actor: "a" }))
      const two = activate.pipe(Command.withMetadata({ actor: "b" }), keyed("key"), Command.expecting(4))
      const three = Command.withMetadata({ actor: "c" })(
        keyed("key")(Effect.provide(
          Command.expecting(4)(Effect.flatMap(Command, (command) => command.activateRelay({ id: "relay-1" }))),
          yield* Effect.context<Command>()
        ))
      )
      const answers = yield* Effect.all([one, two, three], { concurrency: "unbounded" })
      expect(plain(answers)).toEqual(copies(3, plain(answers[0])))
      expect((yield* journalAfter(8)).map(({ metadata, version }) => [metadata, version])).toEqual([[
        { actor: "a" },
        5
      ]])
    })
  )
}
