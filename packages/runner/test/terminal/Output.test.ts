import { expect, it, vi } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import process from "node:process"
import { layer, Output } from "../../src/terminal/Output.js"

/** Both streams are terminals until the scope closes. Returns what is written to standard error. */
const terminal = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const written: Array<string> = []
      const spy = vi.spyOn(process.stderr, "write").mockImplementation(
        ((text: string, done: () => void) => {
          written.push(text)
          done()
          return true
        }) as typeof process.stderr.write
      )
      const streams = [process.stderr, process.stdout].map((stream) => [stream, stream.isTTY] as const)
      for (const [stream] of streams) stream.isTTY = true
      return { written, spy, streams }
    }),
    ({ spy, streams }) =>
      Effect.sync(() => {
        spy.mockRestore()
        for (const [stream, isTerminal] of streams) stream.isTTY = isTerminal
      })
  ),
  ({ written }) => written
)

const cases = [
  { env: { TERM: "xterm" }, note: "\r\u001b[Ka\n", status: ["\r\u001b[Kb"], red: "\u001b[31mc\u001b[39m" },
  { env: { TERM: "xterm", NO_COLOR: "1" }, note: "\r\u001b[Ka\n", status: ["\r\u001b[Kb"], red: "c" },
  { env: { TERM: "dumb" }, note: "a\n", status: [], red: "c" }
]

for (const { env, note, red, status } of cases) {
  it.scoped(`what a terminal is sent with ${JSON.stringify(env)}`, () =>
    Effect.gen(function*() {
      const written = yield* terminal
      const output = yield* Output.pipe(
        Effect.provide(layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env))))
      )
      yield* output.note("a")
      yield* output.status("b")
      expect(written).toEqual([note, ...status])
      expect([output.style.red("c"), output.errorStyle.red("c")]).toEqual([red, red])
      expect([output.isTerminal, output.isErrorTerminal]).toEqual([true, true])
    }))
}
