import { expect, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import { stripVTControlCharacters } from "node:util"
import { withLog } from "../../src/commands/HostLog.js"

const secret = "nostr+walletconnect://alice?relay=wss://r.example&secret=hidden"

for (const format of ["json", "logfmt", "pretty"] as const) {
  it.effect(`the log has no secrets: ${format}`, () =>
    Effect.gen(function*() {
      const console = yield* Effect.console
      const written: Array<string> = []
      const error = (text: unknown) => written.push(stripVTControlCharacters(String(text)))
      yield* Effect.logError(`of ${secret}`, { in: { an: secret } }, new Error(secret)).pipe(
        Effect.annotateLogs({ url: secret, credential: "worker" }),
        withLog(format),
        Console.withConsole({ ...console, unsafe: { ...console.unsafe, error } })
      )
      const text = written.join("\n")
      expect(text).toContain("worker")
      expect(text).toContain("of <redacted>")
      expect(text).not.toContain("hidden")
    }))
}
