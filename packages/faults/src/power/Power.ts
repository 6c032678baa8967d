/**
 * The loss of power while a database is written.
 *
 * A process runs an operation with a library that records each call on the files. From one record, many images are made
 * of what a power loss at some call leaves, by the rules of `Volume`. Each image is opened, checked and used.
 */
import { Cause, Effect } from "effect"
import { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Calls from "../interposer/Calls.js"
import * as Control from "../interposer/Control.js"
import * as Library from "../interposer/Library.js"
import type { Finding, Kind, Settings } from "../Kind.js"
import { operations } from "../operations/index.js"
import { acknowledgements, linesOf, type Operation } from "../operations/Operation.js"
import * as Process from "../operations/Process.js"
import { scratch } from "../operations/Scratch.js"
import { type Keep, keeps, Volume } from "./Volume.js"

/** The number of images of each operation. */
const images = (name: string, long: boolean) =>
  name === "full" || name === "normal" ? (long ? 2000 : 36) : long ? 400 : 8

/** The number of images from one record: another run of the operation makes other calls. */
const imagesPerRun = 100

/** The number of findings after which an operation is not tried again. */
const mostFindings = 3

/** An instant at which the power is lost, and what is kept. */
interface Loss {
  readonly call: number
  readonly keep: Keep
}

interface Run {
  readonly name: string
  readonly operation: Operation
  readonly settings: Settings
  readonly library: string
  readonly random: PCGRandom
  readonly count: number
  readonly number: number
}

/** Records the calls of one run of an operation, and checks images of power losses in it. */
const tryRun = ({ count, library, name, number, operation, random, settings }: Run) =>
  Effect.gen(function*() {
    const place = join(settings.directory, `${name}-${number}`)
    const [directory, control, record] = [join(place, "files"), join(place, "control"), join(place, "record")]
    fs.mkdirSync(directory, { recursive: true })
    yield* operation.prepare(directory)
    Control.plan(control, { action: "none", recording: true })
    const volume = new Volume(directory)
    yield* Effect.scoped(
      Effect.flatMap(Process.start({ operation: name, directory, library, control, record }), Process.outcome)
    )
    const calls = Calls.decode(fs.readFileSync(record))
    const acknowledged = acknowledgedIn(calls, join(directory, acknowledgements))
    const losses = lossesOf(calls, acknowledged.map(({ call }) => call), count, random)
    const findings: Array<Finding> = []
    let done = 0
    for (const loss of losses) {
      for (; done < loss.call; done++) volume.apply(calls[done]!)
      const lines = acknowledged.filter(({ call }) => call <= loss.call).map(({ text }) => text).join("")
      const image = join(place, "image")
      fs.mkdirSync(image)
      volume.writeImage(image, loss.keep, random)
      const kept = join(place, "kept")
      fs.cpSync(image, kept, { recursive: true })
      const exit = yield* Effect.exit(operation.check(image, linesOf(lines)))
      if (exit._tag === "Failure") {
        if (Cause.isInterruptedOnly(exit.cause)) return yield* Effect.interrupt
        findings.push(finding(`${operation.title}: a power loss`, exit.cause, kept, record, loss, calls, settings))
      }
      fs.rmSync(image, { recursive: true })
      fs.rmSync(kept, { recursive: true })
      if (findings.length >= mostFindings) break
    }
    fs.rmSync(place, { recursive: true })
    return { findings, images: losses.length, calls: calls.length }
  })

/** Instants in their order. Three are after the last call, where everything is acknowledged. */
const lossesOf = (
  calls: ReadonlyArray<Calls.Call>,
  acknowledged: ReadonlyArray<number>,
  count: number,
  random: PCGRandom
) => {
  const oneOf = (instants: ReadonlyArray<number>) =>
    instants.length === 0 ? random.integer(calls.length + 1) : instants[random.integer(instants.length)]!
  const changesName = calls.flatMap(({ _tag }, index) =>
    _tag === "Rename" || _tag === "Unlink" ? [index, index + 1] : []
  )
  return Array.from({ length: count }, (_, n): Loss => {
    if (n < 3) return { call: calls.length, keep: keeps[n]! }
    // Few calls change names or acknowledge, and much depends on what is on the disk then.
    const among = random.integer(3)
    return {
      call: oneOf(among === 0 ? acknowledged : among === 1 ? changesName : []),
      keep: keeps[random.integer(keeps.length)]!
    }
  }).sort((one, other) => one.call - other.call)
}

/** The text of the acknowledgements, and after which calls it was written. */
const acknowledgedIn = (calls: ReadonlyArray<Calls.Call>, filename: string) => {
  const writes: Array<{ readonly call: number; readonly text: string }> = []
  const files = new Set<number>()
  for (const [index, call] of calls.entries()) {
    if (call._tag === "Open") {
      if (call.path === filename) files.add(call.fd)
      else files.delete(call.fd)
    } else if (call._tag === "Write" && files.has(call.fd)) {
      writes.push({ call: index + 1, text: call.bytes.toString() })
    }
  }
  return writes
}

/** Keeps the image, and tells what was seen. */
const finding = (
  title: string,
  cause: Cause.Cause<unknown>,
  image: string,
  record: string,
  { call, keep }: Loss,
  calls: ReadonlyArray<Calls.Call>,
  { seed }: Settings
): Finding => {
  const kept = fs.mkdtempSync(join(tmpdir(), "caravel-faults-kept-"))
  fs.cpSync(image, join(kept, "image"), { recursive: true })
  fs.cpSync(record, join(kept, "record"))
  return {
    title,
    details: [
      Cause.pretty(cause),
      `seed ${seed}; the power was lost after call ${call} of ${calls.length}, and kept ${keep} of what was not synced.`,
      `The files before they were checked, and the record of the calls, are in ${kept}.`,
      "The last calls:",
      ...calls.slice(Math.max(0, call - 20), call).map(Calls.render)
    ].join("\n")
  }
}

/** Tries an operation, in as many runs as its number of images needs. */
const tryOperation = (settings: Settings, library: string, name: string, index: number) =>
  Effect.gen(function*() {
    const operation = operations[name]!
    const random = new PCGRandom(settings.seed, index)
    const total = images(name, settings.long)
    const tried = { images: 0, calls: 0 }
    const findings: Array<Finding> = []
    for (let number = 0; number * imagesPerRun < total && findings.length < mostFindings; number++) {
      const count = Math.min(imagesPerRun, total - number * imagesPerRun)
      const run = yield* tryRun({ name, operation, settings, library, random, count, number })
      for (const finding of run.findings) findings.push(finding)
      tried.images += run.images
      tried.calls += run.calls
      yield* settings.progress(`${operation.title}: ${tried.images} of ${total} images`)
    }
    return { tried, findings }
  })

const run = (settings: Settings) =>
  Effect.gen(function*() {
    const directory = yield* scratch(settings.directory)
    const library = yield* Library.compile(directory)
    const done = yield* Effect.forEach(
      Object.keys(operations),
      (name, index) => tryOperation({ ...settings, directory }, library, name, index),
      // While one process records calls, this one checks images.
      { concurrency: 2 }
    )
    return {
      tried: {
        images: done.reduce((sum, { tried }) => sum + tried.images, 0),
        calls: done.reduce((sum, { tried }) => sum + tried.calls, 0)
      },
      findings: done.flatMap(({ findings }) => findings)
    }
  })

export const power: Kind = {
  title: "power loss",
  description: "What was not synced is lost, in part and in any order; what was acknowledged is there all the same",
  skipped: Library.skipped,
  run
}
