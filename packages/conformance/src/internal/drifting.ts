/** Random programs whose rows agree with the journal until a field is changed. */
import { expect, it } from "@effect/vitest"
import { Effect, FastCheck as fc, type Layer } from "effect"
import { another, type Backdoor, folded, idOf, nullable, positionOf, rebuild, verify } from "./backdoor.js"
import { plain, type Services } from "./fixture.js"
import { call } from "./linearize.js"
import { programs, programsWithTenants, type Step } from "./programs.js"

const uuid = "01a20817-9f5e-75be-8c41-e650131896aa"

const shown = (field: string, value: unknown) =>
  field === "nwcUrl" && value !== null && String(value).length !== uuid.length ? "<redacted>" : plain(value) ?? null

const execute = (step: Step) => Effect.forEach(step, call, { concurrency: "unbounded" })

export const drifting = <R, E>(
  layer: Layer.Layer<Services | R, E>,
  backdoor: Backdoor<R>,
  { numRuns, timeout }: { readonly numRuns: number; readonly timeout: number }
) => {
  const run = <A, E2>(effect: Effect.Effect<A, E2, Services | R>) => Effect.runPromise(Effect.provide(effect, layer))

  it(
    "rows agree after every step of a short program and at the end of a long one, and a rebuild changes nothing",
    () =>
      fc.assert(
        fc.asyncProperty(programs, (program) =>
          run(Effect.gen(function*() {
            for (const step of program) {
              yield* execute(step)
              if (program.length <= 12) expect((yield* verify).differences).toEqual([])
            }
            const before = yield* backdoor.dump
            expect((yield* verify).differences).toEqual([])
            expect(yield* rebuild).toEqual({ written: 0, differences: [] })
            expect(yield* backdoor.dump).toEqual(before)
          }))),
        { numRuns }
      ),
    timeout
  )

  it("a changed field is the only drift that is reported, and a rebuild repairs it", () =>
    fc.assert(
      fc.asyncProperty(programsWithTenants, fc.nat(), fc.nat(), fc.boolean(), (program, anyRow, anyField, clear) =>
        run(Effect.gen(function*() {
          yield* Effect.forEach(program, execute)
          const { events, rows } = yield* folded
          const row = rows[anyRow % rows.length]!
          const id = idOf(row)
          const fields = Object.entries(row).filter(([field]) =>
            field !== "pubkey" && field !== "id"
          )
          const [field, expected] = fields[anyField % fields.length]!
          const found = clear && nullable.has(field) && expected !== null ? null : another(field, expected)
          const before = yield* backdoor.dump
          yield* backdoor.change(id, { [field]: found })
          const difference = {
            ...id,
            kind: "field",
            field,
            expected: shown(field, expected),
            found: shown(field, found),
            position: positionOf(events, id, field)
          }
          expect((yield* verify).differences).toEqual([difference])
          expect(yield* rebuild).toEqual({ written: 1, differences: [difference] })
          expect(yield* backdoor.dump).toEqual(before)
          expect((yield* verify).differences).toEqual([])
        }))),
      { numRuns }
    ), timeout)
}
