/** Wrong clocks are visible: they are logged, counted and reported by `Journal.verify`. */
import { type ClockFinding, Command, decodeCommand, Journal } from "@caravel/domain"
import { expect, it } from "@effect/vitest"
import { DateTime, Effect, type Layer, Logger, Metric, Stream } from "effect"
import { alice, at, invoke, type Services, specs } from "./fixture.js"

const jumps = Metric.tagged(
  Metric.counter("caravel_clock_findings_total", {
    description: "clocks found to be wrong: jumps between events, and offsets from the database server's clock",
    incremental: true
  }),
  "kind",
  "jump"
)

const found = Effect.gen(function*() {
  const steps = yield* Stream.runCollect((yield* Journal).verify)
  return [...steps].flatMap(({ clocks }): ReadonlyArray<ClockFinding> => clocks).filter(({ _tag }) =>
    _tag === "ClockJump"
  )
})

const instant = (iso: string) => DateTime.unsafeMake(iso)

export const wrongClocks = <R, E>(layer: Layer.Layer<Services | R, E>) => {
  it.live("an event more than five minutes before its predecessor is logged, counted and reported by verify", () => {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => {
      logged.push(String(message))
    })
    const body = Effect.gen(function*() {
      const activate = (iso: string) => invoke("activateRelay", [{ id: "a" }]).pipe(at(iso))
      const before = yield* Metric.value(jumps)
      yield* invoke("createTenant", [{ pubkey: alice }]).pipe(at("2026-01-01T00:00:00.000Z"))
      yield* invoke("createRelay", [{ id: "a", tenant: alice, subdomain: "a" }]).pipe(at("2026-01-01T00:06:00.000Z"))
      yield* activate("2026-01-01T00:01:00.000Z")
      expect(yield* found).toEqual([])
      yield* activate("2036-01-01T00:00:00.000Z")
      yield* activate("2026-01-01T00:07:00.000Z")
      yield* activate("2026-01-01T00:08:00.000Z")
      yield* activate("2026-01-01T00:02:59.999Z")
      expect(yield* found).toEqual([
        {
          _tag: "ClockJump",
          position: 5,
          createdAt: instant("2026-01-01T00:07:00.000Z"),
          previous: instant("2036-01-01T00:00:00.000Z")
        },
        {
          _tag: "ClockJump",
          position: 7,
          createdAt: instant("2026-01-01T00:02:59.999Z"),
          previous: instant("2026-01-01T00:08:00.000Z")
        }
      ])
      expect((yield* Metric.value(jumps)).count - before.count).toBe(2)
      // One warning a minute.
      expect(logged).toEqual([
        expect.stringContaining("The event at position 5 has the instant 2026-01-01T00:07:00.000Z")
      ])
      expect(logged[0]).toContain("synchronize the clocks")
    })
    // The layer's own logs go to the logger too.
    const provided = Effect.provide(body, layer)
    return Effect.provide(provided, Logger.replace(Logger.defaultLogger, logger))
  }, 60_000)

  const test = specs<E, R>(layer)

  test(
    "a jump is reported whatever the correlation id of its command",
    Effect.gen(function*() {
      const { setTenantPastDue } = yield* Command
      yield* invoke("createTenant", [{ pubkey: alice }]).pipe(at("2036-01-01T00:00:00.000Z"))
      for (const [year, correlationId] of [[2035, "import-7"], [2034, `import-${"0".repeat(32)}`]] as const) {
        yield* setTenantPastDue(alice).pipe(Command.withMetadata({ correlationId }), at(`${year}-01-01T00:00:00.000Z`))
      }
      expect((yield* found).map((finding) => finding._tag === "ClockJump" && finding.position)).toEqual([2, 3])
    })
  )

  test(
    "a jump before a list of commands is reported once",
    Effect.gen(function*() {
      const before = yield* Metric.value(jumps)
      yield* invoke("createTenant", [{ pubkey: alice }]).pipe(at("2036-01-01T00:00:00.000Z"))
      const commands = yield* Effect.forEach(
        ["a", "b"],
        (id) => decodeCommand({ _tag: "CreateRelay", id, tenant: alice, subdomain: id })
      )
      yield* (yield* Command).submit(commands).pipe(at("2026-01-01T00:00:00.000Z"))
      expect((yield* found).map((finding) => finding._tag === "ClockJump" && finding.position)).toEqual([2])
      expect((yield* Metric.value(jumps)).count - before.count).toBe(1)
    })
  )
}
