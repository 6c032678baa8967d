/** The maximum lengths of texts and lists. */
import { Command, InputLimits, issuesOf } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Effect, Either, Layer, ParseResult } from "effect"
import { alice, aliceUrl, bob, furnished, invoke, observe, type Services, specs, unchangedBy } from "./fixture.js"
import { good, readable, submit } from "./input.js"

// Globals of the runtimes that vitest runs on, which ECMAScript's own types lack.
declare const performance: { readonly now: () => number }
declare const setImmediate: (callback: () => void) => unknown

export const limits = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "texts and lists up to the limits are accepted, and longer ones are refused before anything is written",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const { charactersPerText, commandsPerSubmit } = InputLimits.defaults
      const longest = "x".repeat(charactersPerText)
      yield* command.updateRelay({ id: "relay-1", infoDescription: longest })
      const emoji = "\u{1F600}".repeat(10_000_000)
      const { after, before, result } = yield* unchangedBy(Effect.all([
        Effect.flip(command.updateRelay({ id: "relay-1", infoDescription: `${longest}x` })),
        Effect.flip(command.updateRelay({ id: "relay-1", infoName: emoji })),
        Effect.flip(command.updateTenant({ pubkey: alice, nwcUrl: `${aliceUrl}${longest}` })),
        Effect.flip(submit([good, { _tag: "UpdateRelay", id: "relay-1", infoName: emoji }])),
        Effect.flip(submit(Array.from({ length: commandsPerSubmit + 1 }, () => good))),
        Effect.flip(invoke("createTenant", [{ pubkey: emoji }])),
        Effect.flip(command.createTenant({ pubkey: bob }).pipe(Command.withIdempotencyKey(emoji))),
        Effect.flip(command.createTenant({ pubkey: bob }).pipe(Command.withMetadata({ actor: emoji })))
      ]))
      expect(result.map(({ _tag }) => _tag)).toEqual(result.map(() => "ParseError"))
      for (const { message } of result) expect(message.length).toBeLessThan(2000)
      const issues = result.map((error) => ParseResult.isParseError(error) ? issuesOf(error) : [])
      expect(issues[0])
        .toEqual([`infoDescription: Expected text of at most 65536 characters, got 65537`])
      expect(issues[3]![0]).toMatch(/^1\.infoName: /)
      expect(after).toEqual(before)
      yield* readable
    })
  )

  test(
    "the event loop keeps running while the longest list is written, and other callers' commands follow it",
    Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: alice })
      const list = Array.from({ length: InputLimits.defaults.commandsPerSubmit }, (_, n) => ({
        _tag: "CreateRelay",
        id: `relay-${n}`,
        tenant: alice,
        subdomain: `s-${n}`
      }))
      let isDone = false
      let longest = 0
      const begun = performance.now()
      let last = begun
      const turn = () => {
        const now = performance.now()
        longest = Math.max(longest, now - last)
        last = now
        if (!isDone) setImmediate(turn)
      }
      setImmediate(turn)
      const submitted = yield* Effect.fork(submit(list))
      yield* Effect.repeat(Effect.yieldNow(), { until: () => last > begun })
      const after = yield* Effect.fork(command.setTenantPastDue(alice))
      expect((yield* submitted).length).toBe(list.length)
      yield* after
      isDone = true
      // Relative to the total duration, as the machine may be slow.
      expect(Math.max(longest, performance.now() - last)).toBeLessThan((performance.now() - begun) / 2)
      const { events, relays } = yield* observe
      expect([events.length, relays.length]).toEqual([list.length + 2, list.length])
    })
  )

  specs(Layer.provide(
    layer,
    Layer.succeed(InputLimits, { charactersPerText: 100, commandsPerSubmit: 3, charactersPerSubmit: 400 })
  ))(
    "the limits are set when the services are built",
    Effect.gen(function*() {
      yield* furnished
      const update = (length: number) => ({ _tag: "UpdateRelay", id: "relay-1", infoName: "x".repeat(length) })
      const outcomes = yield* Effect.forEach([
        [update(100), update(100), update(100)],
        [update(101)],
        [update(1), update(1), update(1), update(1)],
        [{ ...update(100), infoIcon: "x".repeat(100) }, { ...update(100), infoIcon: "x".repeat(100) }]
      ], (list) => Effect.either(submit(list)))
      expect(outcomes.map(Either.isRight)).toEqual([true, false, false, false])
      expect((yield* Effect.flip(invoke("updateRelay", [update(101)])))._tag).toBe("ParseError")
    })
  )
}
