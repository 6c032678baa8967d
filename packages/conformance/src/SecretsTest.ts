/** The contract of `Secrets`. */
import { Command, History, Query, Secrets } from "@caravel/domain"
import { describe, expect } from "@effect/vitest"
import { Effect, Either, type Layer, Option, Redacted, Stream } from "effect"
import { verify } from "./internal/backdoor.js"
import { alice, aliceUrl, bob, bobUrl, nobody, type Services, specs, unchangedBy } from "./internal/fixture.js"
import { leaks } from "./internal/secrets.js"

/**
 * Proves that an adapter's `Secrets` erases as the port specifies, and that a rotation changes nothing visible. The
 * adapter's own tests must check that no bytes are left.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<Services, E>): void => {
  const test = specs(layer)

  const urlOf = (pubkey: string) =>
    Effect.map(Effect.flatMap(Query, (query) => query.tenant(pubkey)), (tenant) => {
      const { nwcUrl } = Option.getOrThrow(tenant)
      return nwcUrl && Redacted.value(nwcUrl)
    })

  const furnished = Effect.gen(function*() {
    const command = yield* Command
    yield* command.createTenant({ pubkey: alice, nwcUrl: aliceUrl })
    yield* command.createTenant({ pubkey: bob, nwcUrl: bobUrl })
  })

  describe(`Secrets: ${name}`, () => {
    test(
      "erasing clears the tenant's wallet URL by an event that is logged and broadcast",
      Effect.gen(function*() {
        yield* furnished
        const command = yield* Command
        const secrets = yield* Secrets
        const live = yield* command.notify.subscribe
        const activity = yield* Command.withMetadata({ actor: "privacy" })(
          secrets.eraseTenantSecrets({ pubkey: alice })
        )
        expect(activity).toMatchObject({ activityType: "update_tenant", resourceId: alice, position: 3 })
        expect([...yield* live.takeAll]).toEqual([activity])
        expect(yield* urlOf(alice)).toBe(null)
        expect(yield* urlOf(bob)).toBe(bobUrl)
        const history = yield* History
        const entries = yield* Stream.runCollect(history.events({ resourceType: "tenant", resourceId: alice }))
        expect([...entries].map(({ event }) => [event._tag, event.changes, event.metadata])).toEqual([
          ["TenantCreated", expect.objectContaining({ nwcUrl: expect.any(String) }), {}],
          ["TenantUpdated", { nwcUrl: null }, { actor: "privacy" }]
        ])
        expect((yield* verify).differences).toEqual([])
      })
    )

    test(
      "erasing succeeds repeatedly, without a secret, and for a whole tenant",
      Effect.gen(function*() {
        const command = yield* Command
        const secrets = yield* Secrets
        yield* command.createTenant({ pubkey: alice })
        const tenant = Option.getOrThrow(yield* Effect.flatMap(Query, (query) => query.tenant(alice)))
        for (const round of [1, 2]) {
          expect((yield* secrets.eraseTenantSecrets(tenant)).position).toBe(1 + round)
        }
        yield* command.updateTenant({ pubkey: alice, nwcUrl: aliceUrl })
        expect(yield* urlOf(alice)).toBe(aliceUrl)
      })
    )

    test(
      "erasing for a missing tenant or a malformed pubkey changes nothing",
      Effect.gen(function*() {
        yield* furnished
        const secrets = yield* Secrets
        const { after, before, broadcast, result } = yield* unchangedBy(
          Effect.forEach([nobody, "malformed"], (pubkey) => Effect.either(secrets.eraseTenantSecrets({ pubkey })))
        )
        expect(result.map((answer) => Either.isLeft(answer) && answer.left._tag)).toEqual([
          "TenantNotFound",
          "ParseError"
        ])
        expect(leaks(result, "SECRET")).toBe(false)
        expect(after).toEqual(before)
        expect(broadcast).toEqual([])
      })
    )

    test(
      "an erasure respects an idempotency key and an expected version",
      Effect.gen(function*() {
        yield* furnished
        const secrets = yield* Secrets
        const erase = secrets.eraseTenantSecrets({ pubkey: alice })
        const late = yield* Effect.flip(Command.expecting(7)(erase))
        expect(late._tag).toBe("VersionConflict")
        expect(yield* urlOf(alice)).toBe(aliceUrl)
        const [first, again] = yield* Effect.forEach([erase, erase], Command.withIdempotencyKey("erase-alice"))
        expect(again).toEqual(first)
      })
    )

    test(
      "a rotation writes no event, changes nothing visible, and has nothing to do the second time",
      Effect.gen(function*() {
        yield* furnished
        const secrets = yield* Secrets
        const { after, before, broadcast, result } = yield* unchangedBy(
          Effect.zip(secrets.rotate(), secrets.rotate())
        )
        expect(result[1]).toBe(0)
        expect(after).toEqual(before)
        expect(broadcast).toEqual([])
        expect((yield* verify).differences).toEqual([])
      })
    )
  })
}
