/** A process that tries disks: `child.ts DIRECTORY CONTROL SEED FAILING-CALLS CHANGED-FILES FLIPPED-BITS`. */
import { Cause, Effect, Exit, Schema } from "effect"
import { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { join } from "node:path"
import process from "node:process"
import * as Control from "../interposer/Control.js"
import type { Case } from "./Case.js"
import * as ChangedFiles from "./ChangedFiles.js"
import * as FailingCalls from "./FailingCalls.js"
import * as FlippedBits from "./FlippedBits.js"
import { Line, type Progress } from "./Progress.js"

const [directory, control, ...numbers] = process.argv.slice(2) as [string, string, ...Array<string>]
const [seed, failing, changed, flipped] = numbers.map(Number) as [number, number, number, number]

const encode = Schema.encodeSync(Line)
const tell = (progress: Progress) => void fs.writeSync(1, `${encode(progress)}\n`)

const tryCase = ({ group, name, run }: Case, number: number) =>
  Effect.gen(function*() {
    tell({ _tag: "Begun", group, name })
    const place = join(directory, String(number))
    fs.mkdirSync(place)
    const count = (what: string) => tell({ _tag: "Counted", what })
    const exit = yield* Effect.exit(run({ directory: place, control, random: new PCGRandom(seed, number), count }))
    // A case that has failed may not have ended what it began.
    Control.plan(control, { action: "none" })
    if (Exit.isFailure(exit)) tell({ _tag: "Found", title: group, details: `${name}\n${Cause.pretty(exit.cause)}` })
    fs.rmSync(place, { recursive: true, force: true, maxRetries: 5 })
  })

await Effect.runPromise(Effect.gen(function*() {
  const [unbroken, place] = [join(directory, "unbroken"), join(directory, "sound")]
  for (const path of [unbroken, place]) fs.mkdirSync(path)
  const random = new PCGRandom(seed)
  const failingCalls = yield* FailingCalls.prepare(unbroken, control, random, failing)
  const sound = yield* FlippedBits.prepare(place)
  const cases = [
    ...failingCalls,
    ...ChangedFiles.cases(random, changed),
    ...FlippedBits.cases(sound, random, flipped)
  ]
  yield* Effect.forEach(cases, tryCase, { discard: true })
}))
