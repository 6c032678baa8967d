/** Disks that are full, read-only or damaged, and files that are changed by others. */
import { Effect, Option, Schema } from "effect"
import { fork } from "node:child_process"
import * as fs from "node:fs"
import { extname, join } from "node:path"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import * as Control from "../interposer/Control.js"
import { variables } from "../interposer/Layout.js"
import * as Library from "../interposer/Library.js"
import type { Finding, Kind, Settings } from "../Kind.js"
import { scratch } from "../operations/Scratch.js"
import { group, occurred } from "./FailingCalls.js"
import { Line } from "./Progress.js"

// The program is next to this file, whether in source or built.
const program = fileURLToPath(new URL(`./child${extname(import.meta.url)}`, import.meta.url))

const decode = Schema.decodeOption(Line)

/** The numbers of cases: failing calls, changed files and flipped bits. */
const counts = (long: boolean) => long ? [2000, 200, 5000] : [16, 20, 30]

const run = (settings: Settings) =>
  Effect.gen(function*() {
    const directory = yield* scratch(settings.directory)
    const library = yield* Library.compile(directory)
    const [files, control] = [join(directory, "files"), join(directory, "control")]
    fs.mkdirSync(files)
    Control.plan(control, { action: "none" })
    const tried: { [group: string]: number } = {}
    const findings: Array<Finding> = []
    const counted = (what: string) => void (tried[what] = (tried[what] ?? 0) + 1)
    let current = "the preparation"
    const args = [files, control, String(settings.seed), ...counts(settings.long).map(String)]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        fork(program, args, {
          env: {
            ...process.env,
            UV_USE_IO_URING: "0",
            LD_PRELOAD: library,
            [variables.directory]: files,
            [variables.control]: control
          },
          stdio: ["ignore", "pipe", "pipe", "ipc"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const end = yield* Effect.async<string | undefined>((resume) => {
      let errors = ""
      child.stderr!.on("data", (data) => errors += data)
      createInterface(child.stdout!).on("line", (line) => {
        const progress = Option.getOrUndefined(decode(line))
        // Other lines are of a library that logs.
        if (progress === undefined) return
        if (progress._tag === "Begun") {
          counted(progress.group.split(",")[0]!)
          current = progress.name
        } else if (progress._tag === "Counted") {
          counted(progress.what)
        } else {
          findings.push({ title: progress.title, details: `seed ${settings.seed}; ${progress.details}` })
        }
      })
      child.once("close", (code, signal) =>
        resume(Effect.succeed(code === 0 ? undefined : `it ended with ${signal ?? code} at: ${current}\n${errors}`)))
    })
    if (end !== undefined) {
      findings.push({ title: "the process crashed", details: `seed ${settings.seed}; ${end}` })
    }
    // Which calls are made depends on what happens at the same time, so that some cases have none that fails.
    if ((tried[occurred] ?? 0) < (tried[group] ?? 0) / 2) {
      findings.push({ title: "most calls that were to fail were never made", details: JSON.stringify(tried) })
    }
    return { tried, findings }
  })

export const disks: Kind = {
  title: "real disks",
  description: "Disks are full, read-only or damaged, and files are changed; errors are typed and no data is wrong",
  skipped: Library.skipped,
  run
}
