import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type * as Control from "../../src/interposer/Control.js"
import type { Action } from "../../src/interposer/Layout.js"
import * as Library from "../../src/interposer/Library.js"
import { intercepted } from "../fixtures/intercepted.js"

/** A program that writes one line after another, and syncs each. */
const program = `
  const fs = require("fs")
  const fd = fs.openSync(process.env.ROOT + "/lines", "a")
  for (const line of ["one", "two", "three", "four"]) {
    fs.writeSync(fd, line + ";")
    fs.fsyncSync(fd)
  }`

describe.skipIf(Library.skipped !== undefined)("a program", () => {
  it.scopedLive("is killed at a chosen call: before it, after it, or within a write", () =>
    Effect.gen(function*() {
      const run = yield* intercepted(program)
      const killed = (action: Action, call: number, kinds: Control.Plan["kinds"]) => {
        const { calls, end, root } = run({ action, first: call, last: call, kinds })
        return [end, readFileSync(join(root, "lines"), "utf8"), calls]
      }
      expect(killed("none", 1, ["write"])).toEqual([0, "one;two;three;four;", 4])
      expect(killed("killBefore", 2, ["write"])).toEqual(["SIGKILL", "one;", 2])
      expect(killed("killAfter", 2, ["write"])).toEqual(["SIGKILL", "one;two;", 2])
      expect(killed("killWithin", 2, ["write"])).toEqual(["SIGKILL", "one;tw", 2])
      expect(killed("killAfter", 3, ["sync"])).toEqual(["SIGKILL", "one;two;three;", 3])
    }))
})
