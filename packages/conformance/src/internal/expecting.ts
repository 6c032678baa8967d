/** `Command.expecting`: a late command overwrites nothing. */
import { Command, decodeCommand, Query } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, type Layer, Option } from "effect"
import { cases } from "./cases.js"
import {
  alice,
  bob,
  furnished,
  invoke,
  nobody,
  plain,
  refusalsOf,
  type Services,
  specs,
  unchangedBy
} from "./fixture.js"

export const expecting = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  for (const { args, creates, key, method } of cases) {
    const version = creates ? 0 : 4
    test(
      `${method} is accepted at the version that it expects, and refused at any other`,
      Effect.gen(function*() {
        yield* furnished
        for (const expected of [0, 1, 3, 4, 5, 1_000].filter((other) => other !== version)) {
          const late = invoke(method, args(key)).pipe(Command.expecting(expected))
          const { after, before, broadcast, result } = yield* unchangedBy(Effect.flip(late))
          expect(plain(result)).toMatchObject({ _tag: "VersionConflict", expected, actual: version })
          expect(after).toEqual(before)
          expect(broadcast).toEqual([])
        }
        const { after, before } = yield* unchangedBy(invoke(method, args(key)).pipe(Command.expecting(version)))
        expect(after.events.length).toBe(before.events.length + 1)
        expect(after.events.at(-1)).toMatchObject({ resourceId: key, version: version + 1 })
      })
    )
  }

  test(
    "a missing or an existing resource is refused as such, whatever version is expected",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      for (const version of [0, 1, 4]) {
        const refusals = yield* refusalsOf([
          command.activateRelay({ id: "missing" }),
          command.setTenantPastDue(nobody),
          command.createTenant({ pubkey: alice }),
          command.createRelay({ id: "relay-1", tenant: alice, subdomain: "free" })
        ]).pipe(Command.expecting(version))
        expect(refusals.map(({ _tag }) => _tag)).toEqual([
          "RelayNotFound",
          "TenantNotFound",
          "TenantAlreadyExists",
          "RelayAlreadyExists"
        ])
      }
    })
  )

  test(
    "a version conflict takes precedence over other refusals of an existing relay",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.createRelay({ id: "relay-2", tenant: alice, subdomain: "two" })
      const update = command.updateRelay({ id: "relay-1", subdomain: "two" })
      expect((yield* Effect.flip(Command.expecting(3)(update)))._tag).toBe("VersionConflict")
      expect((yield* Effect.flip(Command.expecting(4)(update)))._tag).toBe("SubdomainTaken")
    })
  )

  test(
    "a list is checked against the version of its first command's resource before the list",
    Effect.gen(function*() {
      yield* furnished
      const { submit } = yield* Command
      const deactivate = yield* decodeCommand({ _tag: "DeactivateRelay", id: "relay-1" })
      const pastDue = yield* decodeCommand({ _tag: "SetTenantPastDue", pubkey: bob })
      const createBob = yield* decodeCommand({ _tag: "CreateTenant", pubkey: bob })
      const list = [deactivate, deactivate, createBob, pastDue]
      const { after, before, result } = yield* unchangedBy(Effect.flip(submit(list).pipe(Command.expecting(3))))
      expect(plain(result)).toMatchObject({ _tag: "VersionConflict", expected: 3, actual: 4 })
      expect(after).toEqual(before)
      yield* submit(list).pipe(Command.expecting(4))
      expect(yield* submit([]).pipe(Command.expecting(4))).toEqual([])
    })
  )

  test(
    "every command inside expects the version, so the second on a resource is refused; the innermost use wins",
    Effect.gen(function*() {
      yield* furnished
      const { activateRelay } = yield* Command
      const activate = activateRelay({ id: "relay-1" })
      const twice = Effect.zipRight(activate, activate).pipe(Command.expecting(4))
      expect(plain(yield* Effect.flip(twice))).toMatchObject({ expected: 4, actual: 5 })
      yield* activate.pipe(Command.expecting(5), Command.expecting(1))
      yield* activate
    })
  )

  test(
    "a malformed version is a ParseError before anything inside runs",
    Effect.gen(function*() {
      yield* furnished
      for (const version of [-1, 1.5, Number.NaN, Infinity, "4", null, undefined]) {
        const effect = Effect.dieMessage("ran").pipe(Command.expecting(version as number))
        expect((yield* Effect.flip(effect))._tag).toBe("ParseError")
      }
    })
  )

  test(
    "concurrent callers that update what they have read do not overwrite one another",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const query = yield* Query
      const append = (letter: string) =>
        Effect.gen(function*() {
          const relay = Option.getOrThrow(yield* query.relay("relay-1"))
          yield* Effect.yieldNow()
          yield* command.updateRelay({ id: "relay-1", infoName: relay.infoName + letter }).pipe(
            Command.expecting(relay.version)
          )
        }).pipe(Effect.retry({ while: ({ _tag }) => _tag === "VersionConflict" }))
      yield* command.updateRelay({ id: "relay-1", infoName: "" })
      yield* Effect.forEach("abcdefghijklmno", append, { concurrency: "unbounded" })
      const { infoName, version } = Option.getOrThrow(yield* query.relay("relay-1"))
      expect([[...infoName].sort().join(""), version]).toEqual(["abcdefghijklmno", 20])
    })
  )
}
