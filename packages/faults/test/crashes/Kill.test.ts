import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Control from "../../src/interposer/Control.js"
import type { Action } from "../../src/interposer/Layout.js"
import { variables } from "../../src/interposer/Layout.js"
import * as Library from "../../src/interposer/Library.js"

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
      const place = yield* Effect.acquireRelease(
        Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "caravel-test-")))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
      )
      const library = yield* Library.compile(place)
      const control = join(place, "control")
      const killed = (action: Action, call: number, kinds: Control.Plan["kinds"]) => {
        const root = join(place, `${action}-${call}`)
        mkdirSync(root)
        Control.plan(control, { action, first: call, last: call, kinds })
        const { signal, status } = spawnSync(process.execPath, ["-e", program], {
          env: {
            ...process.env,
            LD_PRELOAD: library,
            ROOT: root,
            [variables.directory]: root,
            [variables.control]: control
          }
        })
        return [signal ?? status, readFileSync(join(root, "lines"), "utf8"), Control.calls(control)]
      }
      expect(killed("none", 1, ["write"])).toEqual([0, "one;two;three;four;", 4])
      expect(killed("killBefore", 2, ["write"])).toEqual(["SIGKILL", "one;", 2])
      expect(killed("killAfter", 2, ["write"])).toEqual(["SIGKILL", "one;two;", 2])
      expect(killed("killWithin", 2, ["write"])).toEqual(["SIGKILL", "one;tw", 2])
      expect(killed("killAfter", 3, ["sync"])).toEqual(["SIGKILL", "one;two;three;", 3])
    }))
})
