/** `Command.withMetadata`: metadata that is stored with the events of the commands inside. */
import { Command, DeactivateRelay, Journal, Position, Pubkey, Query, RelayId, SetTenantPastDue } from "@caravel/domain"
import { expect } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer } from "effect"
import { cases } from "./cases.js"
import { alice, furnished, invoke, journalAfter, plain, type Services, specs, unchangedBy } from "./fixture.js"
import { makeTracer } from "./observer.js"

const malformed: ReadonlyArray<unknown> = [
  ...["actor", "correlationId", "causationId"].flatMap((name) =>
    ["", "x".repeat(257), "nul\0", "\ud800", 5, null, {}].map((value) => ({ [name]: value }))
  ),
  { actor: "a", actr: "b" },
  { traceId: "a" },
  JSON.parse("{\"__proto__\":{\"actor\":\"a\"}}"),
  null,
  "alice"
]

const deactivate = new DeactivateRelay({ id: RelayId.make("relay-1") })

const metadataAfter = (position: number) =>
  Effect.map(journalAfter(position), (events) => events.map(({ metadata }) => metadata))

export const metadata = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "every command inside stores the metadata, and none outside does",
    Effect.gen(function*() {
      const given = { actor: "alice", correlationId: "request-1", causationId: "⛵ \"x\" ".repeat(36) }
      yield* furnished
      for (const { args, key, method } of cases) {
        const before = (yield* journalAfter()).length
        yield* invoke(method, args(key)).pipe(Command.withMetadata(given))
        expect(yield* metadataAfter(before)).toEqual([given])
      }
      const before = (yield* journalAfter()).length
      expect(before).toBe(8 + 17)
      yield* invoke("setTenantPastDue", [alice])
      expect(yield* metadataAfter(before)).toEqual([{}])
      expect((yield* metadataAfter(0)).slice(0, 8)).toEqual(Array(8).fill({}))
    })
  )

  test(
    "nested uses are merged, the inner one takes precedence, and submit stores the result too",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      yield* command.submit([deactivate, new SetTenantPastDue({ pubkey: Pubkey.make(alice) })]).pipe(
        Command.withMetadata({ actor: "inner", causationId: undefined }),
        Command.withMetadata({ actor: "outer", correlationId: "outer", causationId: "outer" }),
        Effect.zipRight(command.activateRelay({ id: "relay-1" })),
        Command.withMetadata({ actor: "outermost" })
      )
      const both = { actor: "inner", correlationId: "outer", causationId: "outer" }
      expect(yield* metadataAfter(8)).toEqual([both, both, { actor: "outermost" }])
    })
  )

  test(
    "Journal.at returns metadata too, for the positions that exist, in order",
    Effect.gen(function*() {
      yield* furnished
      const journal = yield* Journal
      yield* invoke("setTenantPastDue", [alice]).pipe(Command.withMetadata({ actor: "alice" }))
      const events = yield* journalAfter()
      const at = journal.at([9, 2, 1_000, 9, 0].map((n) => Position.make(n)))
      expect(plain(yield* at)).toEqual(plain([events[1], events[8]]))
      expect(yield* journal.at([])).toEqual([])
      const all = events.map(({ position }) => position)
      expect(plain(yield* journal.at(all))).toEqual(plain(events))
    })
  )

  test(
    "activities do not contain metadata",
    Effect.gen(function*() {
      const command = yield* Command
      const queue = yield* command.notify.subscribe
      const returned = yield* command.createTenant({ pubkey: alice }).pipe(Command.withMetadata({ actor: "alice" }))
      const activities = [returned, ...yield* queue.takeAll, ...yield* (yield* Query).activity()]
      expect(activities.map((activity) => "metadata" in activity)).toEqual([false, false, false])
    })
  )

  test(
    "malformed metadata is a ParseError before anything inside runs, and the error does not contain it",
    Effect.gen(function*() {
      yield* furnished
      for (const value of malformed) {
        let ran = false
        const effect = Effect.sync(() => ran = true).pipe(
          Effect.zipRight(invoke("setTenantPastDue", [alice])),
          Command.withMetadata(value as {})
        )
        const { after, before, result } = yield* unchangedBy(Effect.flip(effect))
        expect([result._tag, ran]).toEqual(["ParseError", false])
        expect(result.message).not.toContain("xxxxxxxx")
        expect(after).toEqual(before)
      }
      yield* invoke("setTenantPastDue", [alice]).pipe(Command.withMetadata({ actor: "x".repeat(256) }))
    })
  )

  test(
    "only fibers that are forked inside inherit metadata",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const activate = command.activateRelay({ id: "relay-1" })
      const go = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkDaemon(Effect.zipRight(Deferred.await(go), activate)).pipe(
        Command.withMetadata({ actor: "inside" })
      )
      yield* activate
      yield* Deferred.succeed(go, undefined)
      expect(Exit.isSuccess(yield* Fiber.await(fiber))).toBe(true)
      yield* Fiber.join(fiber)
      yield* activate
      yield* Effect.exit(Command.withMetadata({ actor: "failed" })(command.activateRelay({ id: "missing" })))
      yield* activate
      expect(yield* metadataAfter(8)).toEqual([{}, { actor: "inside" }, {}, {}])
    })
  )
}

/** The spans of commands that are executed in this process. */
export const spans = <E>(layer: Layer.Layer<Services, E>) => {
  const test = specs(layer)

  test(
    "if a tracer is present, the ids of the command's span are stored with metadata",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const { spans, tracer } = makeTracer()
      const traced = Effect.withTracer(tracer)
      yield* traced(command.activateRelay({ id: "relay-1" }).pipe(Command.withMetadata({ actor: "alice" })))
      yield* traced(command.submit([deactivate]))
      yield* traced(Effect.withTracerEnabled(command.activateRelay({ id: "relay-1" }), false))
      const idsOf = (name: string) => {
        const { spanId, traceId } = spans.find((span) => span.name === name)!
        return { traceId, spanId }
      }
      expect(yield* metadataAfter(8)).toEqual([
        { actor: "alice", ...idsOf("Command.activateRelay") },
        idsOf("Command.submit"),
        {}
      ])
    })
  )

  test(
    "a command's span says what the command is about and how it ended, and contains no secret",
    Effect.gen(function*() {
      yield* furnished
      const command = yield* Command
      const { spans, tracer } = makeTracer()
      const secret = "nostr+walletconnect://wallet?secret=hidden"
      yield* Effect.withTracer(
        Effect.gen(function*() {
          yield* command.updateTenant({ pubkey: alice, nwcUrl: secret })
          yield* Effect.exit(command.activateRelay({ id: "missing" }))
          yield* Effect.exit(command.activateRelay({ id: "" }))
          yield* command.submit([{ _tag: "UpdateTenant", pubkey: alice, nwcUrl: `${secret}2` }, deactivate])
        }),
        tracer
      )
      const ofCommands = spans.filter(({ name }) => name.startsWith("Command."))
      const tenant = { "caravel.resource.type": "tenant", "caravel.resource.id": alice }
      const relay = { "caravel.resource.type": "relay", "caravel.resource.id": "missing" }
      const failed = (tag: string) => ({ "caravel.outcome": tag, "error.type": tag })
      expect(ofCommands.map(({ attributes, name }) => [name, Object.fromEntries(attributes)])).toEqual([
        ["Command.updateTenant", {
          "caravel.outcome": "accepted",
          ...tenant,
          "caravel.position": 9,
          "caravel.resource.version": 5
        }],
        ["Command.activateRelay", { ...failed("RelayNotFound"), ...relay }],
        ["Command.activateRelay", failed("ParseError")],
        ["Command.submit", { "caravel.outcome": "accepted", "caravel.commands": 2, "caravel.position": 11 }]
      ])
      const everything = spans.flatMap(({ attributes, status }) => [...attributes, status])
      const text = JSON.stringify(everything, (_, value) => typeof value === "bigint" ? `${value}` : value as unknown)
      expect(text).not.toContain("hidden")
    })
  )
}
