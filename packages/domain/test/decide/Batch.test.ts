import { Command, type CommandRequest, decide, EventId, evolve, type State, stateOf } from "@caravel/domain"
import {
  type Batch,
  decideAll,
  decideInSteps,
  type PendingCommand,
  reads,
  runInTurns,
  submissionOf
} from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Either, FastCheck as fc, Fiber, HashMap, Redacted, Schema, TestClock, Tracer } from "effect"
import {
  alice,
  bob,
  command,
  context,
  createAlice,
  createBob,
  createOne,
  empty,
  eventId,
  given,
  url
} from "../given.js"
import { anyCommand } from "../programs.js"

const numbered = (commands: ReadonlyArray<CommandRequest>, from = 0): ReadonlyArray<PendingCommand> =>
  commands.map((command, n) => [command, context(from + n)])

const secretsOf = (batch: Batch) => batch.secrets.map(({ id, value }) => [id, Redacted.value(value)])

const createRich = command("CreateTenant", { pubkey: alice, nwcUrl: url })
const setUrl = (nwcUrl: string | null) => command("UpdateTenant", { pubkey: alice, nwcUrl })

describe("decideAll", () => {
  it("decides each command on the state that the previous ones leave", () => {
    const commands = numbered([createAlice, createOne, command("DeactivateRelay", { id: "one" })])
    const batch = Either.getOrThrow(decideAll(empty, commands))
    expect(batch.events.map(({ _tag, version }) => [_tag, version]))
      .toEqual([["TenantCreated", 1], ["RelayCreated", 1], ["RelayDeactivated", 2]])
    expect(batch.events.map(({ id }) => id)).toEqual([eventId(0), eventId(1), eventId(2)])
    expect(batch.state).toEqual(batch.events.reduce(evolve, empty))
  })

  it("refuses all commands with the first refusal", () => {
    const commands = numbered([createAlice, createAlice, command("ActivateRelay", { id: "one" })])
    expect(Either.flip(decideAll(empty, commands))).toMatchObject({ right: { _tag: "TenantAlreadyExists" } })
  })

  it("returns an empty batch for no commands", () => {
    expect(decideAll(empty, [])).toEqual(Either.right({ state: empty, events: [], secrets: [], droppedSecrets: [] }))
  })

  it.each<readonly [string, ReadonlyArray<CommandRequest>, ReadonlyArray<number>, ReadonlyArray<number>]>([
    ["a new one", [createRich], [0], []],
    ["none", [createAlice, setUrl(null)], [], []],
    ["the first of a tenant", [createAlice, setUrl(url)], [1], []],
    ["a replaced one", [createRich, setUrl(`${url}2`)], [0, 1], [0]],
    ["the same again", [createRich, setUrl(url)], [0, 1], [0]],
    ["a cleared one", [createRich, setUrl(null)], [0], [0]],
    ["an unchanged one", [createRich, command("SetTenantPastDue", { pubkey: alice })], [0], []],
    ["an update of something else", [createRich, command("UpdateTenant", { pubkey: alice, stripeCustomerId: "c" })], [
      0
    ], []],
    ["several in a row", [createRich, setUrl(null), setUrl(url), setUrl(url)], [0, 2, 3], [0, 2]]
  ])("keeps and drops secrets: %s", (_, commands, kept, dropped) => {
    const batch = Either.getOrThrow(decideAll(given(createBob), numbered(commands)))
    expect(batch.secrets.map(({ id }) => id)).toEqual(kept.map(eventId))
    expect(batch.droppedSecrets).toEqual(dropped.map(eventId))
    for (const [, value] of secretsOf(batch)) expect(value).toContain(url)
  })

  it("stores every secret that a tenant refers to, and drops only replaced or cleared ones", () => {
    fc.assert(fc.property(fc.array(anyCommand, { maxLength: 60, size: "max" }), (commands) => {
      const kept = new Set<string>()
      let state = empty
      for (const [n, command] of commands.entries()) {
        const batch = Either.getOrUndefined(decideAll(state, [[command, context(n)]]))
        if (batch === undefined) continue
        state = batch.state
        for (const { id } of batch.secrets) kept.add(id)
        for (const id of batch.droppedSecrets) expect(kept.delete(id)).toBe(true)
      }
      const referred = [...HashMap.values(state.tenants)].flatMap(({ nwcUrl }) => nwcUrl ?? [])
      expect(kept).toEqual(new Set(referred))
    }))
  })
})

/** The part of a state that `reads` names. */
const subset = ({ relays, subdomains, tenants }: State, commands: ReadonlyArray<PendingCommand>): State => {
  const named = reads(commands)
  const ids = new Set([
    ...named.relays,
    ...named.subdomains.flatMap((subdomain) =>
      HashMap.has(subdomains, subdomain) ? HashMap.unsafeGet(subdomains, subdomain) : []
    )
  ])
  return stateOf(
    [...HashMap.values(tenants)].filter(({ pubkey }) => named.tenants.includes(pubkey)),
    [...HashMap.values(relays)].filter(({ id }) => ids.has(id))
  )
}

describe("reads", () => {
  it("names each resource of the commands once", () => {
    const commands = numbered([
      createAlice,
      createOne,
      createOne,
      command("UpdateRelay", { id: "two" }),
      command("UpdateRelay", { id: "three", subdomain: "tres" }),
      command("SetTenantPastDue", { pubkey: bob })
    ])
    expect(reads(commands)).toEqual({
      tenants: [alice, bob],
      relays: ["one", "two", "three"],
      subdomains: ["uno", "tres"]
    })
    expect(reads([])).toEqual({ tenants: [], relays: [], subdomains: [] })
  })

  it("names every resource that the decisions depend on", () => {
    const history = fc.array(anyCommand, { maxLength: 40, size: "max" })
    const list = fc.array(anyCommand, { minLength: 1, maxLength: 4 })
    let [taken, accepted] = [0, 0]
    fc.assert(
      fc.property(history, list, (history, list) => {
        const whole = history.reduce((state, command, n) =>
          Either.match(decide(state, command, context(n)), {
            onLeft: () => state,
            onRight: (event) => evolve(state, event)
          }), empty)
        const commands = numbered(list, 100)
        const results = [decideAll(whole, commands), decideAll(subset(whole, commands), commands)].map(
          Either.map((batch) => ({ ...batch, secrets: secretsOf(batch), state: null }))
        )
        expect(results[1]).toEqual(results[0])
        if (Either.isRight(results[0]!)) accepted++
        else if (results[0]!.left._tag === "SubdomainTaken") taken++
      }),
      { numRuns: 500 }
    )
    // Both outcomes must occur often enough.
    expect(Math.min(taken, accepted)).toBeGreaterThan(10)
  })

  it("names only the resources that have to be loaded", () => {
    const whole = given(
      createAlice,
      createBob,
      createOne,
      command("CreateRelay", { id: "two", tenant: bob, subdomain: "dos" })
    )
    const { relays, subdomains, tenants } = subset(
      whole,
      numbered([command("UpdateRelay", { id: "two", subdomain: "uno" })])
    )
    expect([HashMap.size(tenants), [...HashMap.keys(relays)].sort(), HashMap.size(subdomains)]).toEqual([0, [
      "one",
      "two"
    ], 2])
  })
})

describe("a long list", () => {
  const list = Array.from({ length: 1000 }, (_, n): PendingCommand => [
    n === 0 ? createAlice : command("CreateRelay", { id: `r${n}`, tenant: alice, subdomain: `s${n}` }),
    context(n)
  ])

  it.effect("is decided in steps with the same result as at once", () =>
    Effect.gen(function*() {
      const { events } = Either.getOrThrow(decideAll(empty, list))
      expect(events.length).toBe(1000)
      const inTurns = yield* runInTurns(decideInSteps(empty, list))
      expect(inTurns.events).toEqual(events)
      const steps = decideInSteps(empty, list)
      let pauses = 0
      while (steps.next().done !== true) pauses++
      expect(pauses).toBe(15)
      expect(yield* Effect.flip(runInTurns(decideInSteps(empty, [...list, list[0]!])))).toMatchObject({
        _tag: "TenantAlreadyExists"
      })
    }))

  it.effect("yields to the event loop if it takes long, measured in real time", () =>
    Effect.gen(function*() {
      const done: Array<number> = []
      function* work() {
        for (let n = 0; n < 3; n++) {
          done.push(n)
          const until = performance.now() + 6
          while (performance.now() < until);
          yield
        }
        return Either.right("done")
      }
      const fiber = yield* Effect.fork(runInTurns(work()))
      yield* Effect.yieldNow()
      expect(done).toEqual([0])
      expect(yield* Fiber.join(fiber)).toBe("done")
      expect(done).toEqual([0, 1, 2])
    }))
})

describe("submissionOf", () => {
  it.effect("takes the instant from the clock, and generates ids that sort by it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000_000_000)
      const both = (yield* submissionOf([createAlice, createAlice])).commands
      yield* TestClock.adjust("1 millis")
      const contexts = [...both, ...(yield* submissionOf([createAlice])).commands].map(([, context]) => context)
      expect(contexts.map(({ now }) => DateTime.toEpochMillis(now) - 1_000_000_000_000)).toEqual([0, 0, 1])
      const [first, second, third] = contexts.map(({ id }) => id as string)
      expect([first, second].sort().concat(third)).toEqual([first, second, third].sort())
      expect(new Set([first, second, third]).size).toBe(3)
    }))

  it.effect("generates valid UUIDs, or fails if the clock is out of range", () =>
    Effect.gen(function*() {
      for (const millis of [0, 0.5, 1.5, 253_402_300_799_999]) {
        yield* TestClock.setTime(millis)
        const { commands: [[, { id, now }]] } = yield* submissionOf([createAlice])
        expect([Schema.is(EventId)(id), parseInt(id.replace("-", "").slice(0, 12), 16)]).toEqual([
          true,
          Math.floor(millis)
        ])
        expect(DateTime.toEpochMillis(now)).toBe(Math.floor(millis))
      }
      for (const millis of [-1, NaN, Infinity, 253_402_300_800_000, 2 ** 48]) {
        yield* TestClock.setTime(millis)
        expect((yield* Effect.flip(submissionOf([createAlice])))._tag).toBe("StorageError")
      }
    }))

  it.effect("stores the ids of a span only if they are valid", () =>
    Effect.gen(function*() {
      const native = yield* Effect.tracer
      const metadataOf = (spanId: unknown) => {
        const span = (...options: Parameters<typeof native.span>) => {
          const made = native.span(...options)
          return Object.assign(Object.create(made), { spanId })
        }
        return Effect.map(submissionOf([createAlice]), ({ commands: [[, { metadata }]] }) => Object.keys(metadata))
          .pipe(
            Effect.withSpan("command"),
            Effect.withTracer(Tracer.make({ span, context: native.context }))
          )
      }
      expect(yield* Effect.forEach(["a", 5, null, "", "nul\0", "x".repeat(257)], metadataOf)).toEqual([
        ["traceId", "spanId"],
        ...Array(5).fill([])
      ])
    }))

  it.effect("takes metadata and key from the fiber, and expects a version of the first command's resource only", () =>
    Effect.gen(function*() {
      const unit = yield* submissionOf([createAlice, createBob]).pipe(
        Command.withMetadata({ actor: "alice" }),
        Command.withIdempotencyKey("key"),
        Command.expecting(0)
      )
      expect(unit.idempotencyKey).toBe("key")
      expect(unit.commands.map(([, { expected, metadata }]) => [expected, metadata])).toEqual([
        [0, { actor: "alice" }],
        [undefined, { actor: "alice" }]
      ])
      const { commands: [[, { expected, metadata }]], idempotencyKey } = yield* submissionOf([createAlice])
      expect([expected, metadata, idempotencyKey]).toEqual([undefined, {}, undefined])
    }))

  it.effect("stores the ids of a span only if it is recorded", () =>
    Effect.gen(function*() {
      const metadataOf = Effect.map(submissionOf([createAlice]), ({ commands: [[, { metadata }]] }) => metadata)
      const native = yield* Effect.tracer
      const tracer = Tracer.make({ span: native.span, context: native.context })
      const kept = yield* Effect.flatMap(Effect.currentSpan, ({ spanId, traceId }) =>
        Effect.map(metadataOf, (metadata) => [metadata, { spanId, traceId }])).pipe(
          Effect.withSpan("command"),
          Effect.withTracer(tracer)
        )
      expect(kept[0]).toEqual(kept[1])
      expect(yield* metadataOf.pipe(Effect.withTracer(tracer))).toEqual({})
      expect(yield* metadataOf.pipe(Effect.withSpan("command"))).toEqual({})
    }))
})
