import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { pathToFileURL } from "node:url"
import { bundle } from "../../../../scripts/bundle.mjs"
import * as Library from "../../src/interposer/Library.js"
import { intercepted } from "../fixtures/intercepted.js"

const program = bundle(new URL("fixtures/unreadableLog.ts", import.meta.url))

it.scopedLive.skipIf(Library.skipped !== undefined)(
  "an open database goes on once its log can be read again",
  () =>
    Effect.gen(function*() {
      const attempt = yield* intercepted(`import(${JSON.stringify(pathToFileURL(program).href)})`)
      const { stdout } = attempt({ action: "none" })
      expect(stdout).toBe("works,SecretsRemain,works,works")
    })
)
