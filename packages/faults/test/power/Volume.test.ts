import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { PCGRandom } from "effect/Utils"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Calls from "../../src/interposer/Calls.js"
import * as Control from "../../src/interposer/Control.js"
import { variables } from "../../src/interposer/Layout.js"
import * as Library from "../../src/interposer/Library.js"
import { type Keep, keeps, Volume } from "../../src/power/Volume.js"

const directory = Effect.acquireRelease(
  Effect.sync(() => realpathSync(mkdtempSync(join(tmpdir(), "caravel-test-")))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Runs a program on files, and returns a function that loses power at its end. */
const recorded = (files: { readonly [name: string]: string }, program: string) =>
  Effect.gen(function*() {
    const place = yield* directory
    const [root, control, record] = [join(place, "files"), join(place, "control"), join(place, "record")]
    const library = yield* Library.compile(place)
    mkdirSync(root)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text)
    const volume = new Volume(root)
    Control.plan(control, { action: "none", recording: true })
    const { status, stderr } = spawnSync(process.execPath, ["-e", `const fs = require("fs")\n${program}`], {
      cwd: root,
      env: {
        ...process.env,
        UV_USE_IO_URING: "0",
        LD_PRELOAD: library,
        ROOT: root,
        [variables.directory]: root,
        [variables.control]: control,
        [variables.record]: record
      }
    })
    expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: "" })
    for (const call of Calls.decode(readFileSync(record))) volume.apply(call)
    let images = 0
    return (keep: Keep, seed = 1) => {
      const image = join(place, `image-${images++}`)
      mkdirSync(image)
      volume.writeImage(image, keep, new PCGRandom(seed))
      const names = readdirSync(image).sort()
      return Object.fromEntries(names.map((name) => [name, readFileSync(join(image, name), "utf8")]))
    }
  })

/** Functions of the programs: writing a file, and syncing one or the directory. */
const functions = `
  const root = process.env.ROOT + "/"
  const write = (name, text) => fs.writeFileSync(root + name, text)
  const sync = (name) => { const fd = fs.openSync(root + name, "r"); fs.fsyncSync(fd); fs.closeSync(fd) }
`

describe.skipIf(Library.skipped !== undefined)("after a power loss", () => {
  it.scopedLive("a file that was renamed has its new name only if the directory was synced", () =>
    Effect.gen(function*() {
      const rename = `${functions} write("new", "new"); sync("new"); fs.renameSync(root + "new", root + "file")`
      const unsynced = yield* recorded({ file: "old" }, rename)
      expect(unsynced("nothing")).toEqual({ file: "old" })
      expect(unsynced("everything")).toEqual({ file: "new" })
      const synced = yield* recorded({ file: "old" }, `${rename}; sync("")`)
      for (const keep of keeps) expect(synced(keep)).toEqual({ file: "new" })
    }))

  it.scopedLive("a file has its bytes only if it was synced, and may be empty under its new name", () =>
    Effect.gen(function*() {
      const lose = yield* recorded(
        { file: "old" },
        `${functions} write("new", "new"); fs.renameSync(root + "new", root + "file"); sync("")`
      )
      expect(lose("nothing")).toEqual({ file: "" })
      expect(lose("everything")).toEqual({ file: "new" })
    }))

  it.scopedLive("a removed file is there again unless the directory was synced", () =>
    Effect.gen(function*() {
      const remove = `${functions} fs.rmSync(root + "file")`
      expect((yield* recorded({ file: "old" }, remove))("nothing")).toEqual({ file: "old" })
      expect((yield* recorded({ file: "old" }, `${remove}; sync("")`))("nothing")).toEqual({})
    }))

  it.scopedLive("of two writes without a sync, any sectors are there, in any order", () =>
    Effect.gen(function*() {
      const lose = yield* recorded(
        { file: "-".repeat(1024) },
        `${functions}
        const fd = fs.openSync(root + "file", "r+")
        fs.writeSync(fd, "1".repeat(512), 0)
        fs.writeSync(fd, "2".repeat(512), 512)`
      )
      const seen = new Set(
        Array.from({ length: 40 }, (_, seed) => lose("subset", seed)["file"]!).map((text) => text[0]! + text[512]!)
      )
      expect([...seen].sort()).toEqual(["--", "-2", "1-", "12"])
    }))
})
