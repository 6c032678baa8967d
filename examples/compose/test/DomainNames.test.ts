import { Command, Query } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { DomainNames, DomainNameTaken } from "../src/DomainNames.js"

const tenant = "a".repeat(64)
const relay = (id: string) => ({ id, tenant, subdomain: id })

/** Both services on a database of the test's own. */
const layer = Layer.provideMerge(DomainNames.Default, Sqlite.layerTemporary)

describe("a domain name", () => {
  it.scoped("is rented together with the creation of its relay", () =>
    Effect.gen(function*() {
      const names = yield* DomainNames
      yield* (yield* Command).createTenant({ pubkey: tenant })
      const activity = yield* names.rent(relay("a"), "a.example.com")
      expect(activity).toMatchObject({ activityType: "create_relay", resourceId: "a" })
      expect(yield* names.relayOf("a.example.com")).toEqual(Option.some({ relay: "a" }))
    }).pipe(Effect.provide(layer)))

  it.scoped("that is taken leaves no relay, and nothing is broadcast", () =>
    Effect.gen(function*() {
      const command = yield* Command
      const names = yield* DomainNames
      yield* command.createTenant({ pubkey: tenant })
      yield* names.rent(relay("a"), "a.example.com")
      const live = yield* command.notify.subscribe
      expect(yield* Effect.flip(names.rent(relay("b"), "a.example.com"))).toEqual(
        new DomainNameTaken({ name: "a.example.com" })
      )
      expect(yield* (yield* Query).relay("b")).toEqual(Option.none())
      // The next activity that is broadcast is that of `c`.
      yield* names.rent(relay("c"), "c.example.com")
      expect(yield* live.take).toMatchObject({ resourceId: "c" })
    }).pipe(Effect.provide(layer)))

  it.scoped("is not rented if the command is refused", () =>
    Effect.gen(function*() {
      const names = yield* DomainNames
      expect(yield* Effect.flip(names.rent(relay("a"), "a.example.com"))).toMatchObject({ _tag: "TenantNotFound" })
      expect(yield* names.relayOf("a.example.com")).toEqual(Option.none())
    }).pipe(Effect.provide(layer)))
})
