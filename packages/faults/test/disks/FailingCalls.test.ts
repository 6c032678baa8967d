import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { join } from "node:path"
import * as Control from "../../src/interposer/Control.js"
import { variables } from "../../src/interposer/Layout.js"
import * as Library from "../../src/interposer/Library.js"

/** A program that tries several calls, and prints the errors. */
const program = `
  const fs = require("fs")
  const root = process.env.ROOT + "/"
  const tried = (name, call) => { try { call(); return name } catch ({ code }) { return name + ": " + code } }
  const fd = fs.openSync(root + "file", "a")
  console.log(JSON.stringify([
    tried("first", () => fs.writeSync(fd, "first;")),
    tried("second", () => fs.writeSync(fd, "second;")),
    tried("third", () => fs.writeSync(fd, "third;")),
    tried("sync", () => fs.fsyncSync(fd)),
    tried("rename", () => fs.renameSync(root + "file", root + "renamed"))
  ]))`

describe.skipIf(Library.skipped !== undefined)("the calls of a program", () => {
  it.scopedLive("fail with a chosen error, from a call to another", () =>
    Effect.gen(function*() {
      const place = yield* Effect.acquireRelease(
        Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "caravel-test-")))),
        (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
      )
      const library = yield* Library.compile(place)
      const control = join(place, "control")
      let runs = 0
      const run = (plan: Control.Plan) => {
        const root = join(place, String(runs++))
        mkdirSync(root)
        Control.plan(control, plan)
        const { stdout } = spawnSync(process.execPath, ["-e", program], {
          env: {
            ...process.env,
            LD_PRELOAD: library,
            ROOT: root,
            [variables.directory]: root,
            [variables.control]: control
          }
        })
        return { root, answers: JSON.parse(String(stdout)) as unknown }
      }
      const { EIO, ENOSPC } = constants.errno
      expect(run({ action: "none" }).answers).toEqual(["first", "second", "third", "sync", "rename"])
      expect(run({ action: "fail", error: EIO, kinds: ["write"], first: 2, last: 2 }).answers)
        .toEqual(["first", "second: EIO", "third", "sync", "rename"])
      expect(run({ action: "fail", error: EIO, kinds: ["sync", "rename"] }).answers)
        .toEqual(["first", "second", "third", "sync: EIO", "rename: EIO"])
      expect(run({ action: "fail", error: EIO, suffix: "other" }).answers)
        .toEqual(["first", "second", "third", "sync", "rename"])
      // A full disk takes a part of the first write that does not fit.
      const full = run({ action: "fail", error: ENOSPC, kinds: ["write"], first: 2 })
      expect(full.answers).toEqual(["first", "second", "third: ENOSPC", "sync", "rename"])
      expect(readFileSync(join(full.root, "renamed"), "utf8")).toBe("first;sec")
    }))
})
