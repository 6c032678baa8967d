import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import type * as Control from "../../src/interposer/Control.js"
import * as Library from "../../src/interposer/Library.js"
import { intercepted } from "../fixtures/intercepted.js"

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
      const attempt = yield* intercepted(program)
      const run = (plan: Control.Plan) => {
        const { root, stdout } = attempt(plan)
        return { root, answers: JSON.parse(stdout) as unknown }
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
