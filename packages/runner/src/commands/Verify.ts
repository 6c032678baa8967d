/** `caravel verify` and `caravel rebuild`: whether the rows agree with the journal, and correcting them. */
import { type Drift, isOfJournal, isRepairable, Journal, type StorageError, type Verification } from "@caravel/domain"
import { clockMessage, withoutSecrets } from "@caravel/domain/adapter"
import { Effect, Stream } from "effect"
import { database, json, onWritable, yes } from "../cli/Arguments.js"
import { onPlace, place } from "../cli/Place.js"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output, type OutputClosed, type Style, toTheEnd } from "../terminal/Output.js"
import { counted, number, ProgressBar } from "../terminal/ProgressBar.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

const value = (value: unknown) =>
  typeof value === "string" && /^[0-9a-f]{64}$/.test(value)
    ? Render.short(value)
    : Layout.oneLine(Layout.shortened(JSON.stringify(value), 60))

const version = (row: unknown) => (row as { readonly version?: unknown } | null)?.version

const happened = ({ expected, field, found, kind, position, resourceType }: Drift): string => {
  const at = position === 0 ? "" : ` (position ${position})`
  const isBeside = resourceType !== "tenant" && resourceType !== "relay" && resourceType !== "event"
  switch (kind) {
    case "field":
      return `${field} is ${value(found)}, and the journal says ${value(expected)}${at}`
    case "missing":
      if (resourceType === "event") return "is missing from the journal"
      return `has no row, but the journal has it at version ${version(expected)}${at}`
    case "unexpected":
      return resourceType === "secret"
        ? `is stored, but no tenant refers to it${at}`
        : "has a row, but is not in the journal"
    case "lost":
      return `has lost its wallet URL; set it again with caravel update-tenant${at}`
    case "unreadable":
      return isBeside ? `cannot be read: ${field}${at}` : `the event at position ${position} cannot be read: ${field}`
    case "inconsistent":
      return `${isBeside ? "" : `the event at position ${position} `}has ${field} ${value(found)}, where ${
        value(expected)
      } was expected`
    case "damaged":
      return `is damaged: ${Layout.oneLine(String(found))}`
  }
}

/** A drift, as a line for people. */
const differenceLine = (difference: Drift, style: Style): string => {
  const { resourceId, resourceType } = difference
  const name = `${resourceType} ${Render.short(Layout.oneLine(resourceId))}`.padEnd(24)
  return `${(isRepairable(difference) ? style.yellow : style.red)(name)}  ${happened(difference)}`
}

/** What a verification has compared. */
export const covered = ({ events, relays, secrets, tenants }: Verification) =>
  [counted(events, "event"), counted(tenants, "tenant"), counted(relays, "relay"), counted(secrets, "secret")]
    .join(", ")

const numbers = ({ events, relays, secrets, tenants }: Verification) => ({ events, tenants, relays, secrets })

/** The progress so far, and the bar that shows it. */
class Progress {
  last: Verification = {
    events: 0,
    head: 0 as Verification["head"],
    tenants: 0,
    relays: 0,
    secrets: 0,
    differences: [],
    clocks: []
  }
  repairable = 0
  others = 0
  isJournalDamaged = false
  readonly bar: ProgressBar

  constructor(bar: ProgressBar) {
    this.bar = bar
  }

  get differences(): number {
    return this.repairable + this.others
  }

  readonly add = (step: Verification) =>
    Effect.suspend(() => {
      const repairable = step.differences.filter(isRepairable).length
      this.last = step
      this.repairable += repairable
      this.others += step.differences.length - repairable
      this.isJournalDamaged ||= step.differences.some(isOfJournal)
      return this.bar.show(step.events, step.head)
    })
}

/** The progress of a verification, with a bar that the scope removes. */
export const makeProgress = (output: typeof Output.Service) =>
  Effect.map(ProgressBar.make(output, "event"), (bar) => new Progress(bar))

/** Prints each drift as it is found. */
const show = (asText: boolean, output: typeof Output.Service, progress: Progress) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    yield* Stream.runForEach(journal.verify, (step) =>
      Effect.gen(function*() {
        if (step.differences.length + step.clocks.length > 0) yield* progress.bar.clear
        for (const finding of step.clocks) {
          yield* output.print(asText ? output.style.yellow(clockMessage(finding)) : JSON.stringify(finding))
        }
        for (const difference of step.differences) {
          yield* output.print(
            asText ? differenceLine(difference, output.style) : withoutSecrets(JSON.stringify(difference))
          )
        }
        yield* progress.add(step)
      }))
    yield* progress.bar.clear
  })

const agree = (progress: Progress) => `The rows agree with the journal: ${covered(progress.last)}`

/** What to do about the drifts. */
export const advice = (
  { isJournalDamaged, others, repairable }: Pick<Progress, "isJournalDamaged" | "repairable" | "others">
): string =>
  isJournalDamaged
    ? "The journal itself is damaged: restore a backup"
    : repairable === 0
    ? "A rebuild cannot repair what the journal does not have"
    : `caravel rebuild --yes repairs ${others > 0 ? `${number(repairable)} of them` : repairable === 1 ? "it" : "them"}`

interface Options {
  readonly json: boolean
}

/** Shows where rows and journal differ, and fails if they do. */
const verify = Effect.fn("Verify.verify")(function*({ json }: Options): Effect.fn.Return<
  void,
  Failed | OutputClosed | StorageError,
  Journal | Output
> {
  const output = yield* Output
  const { isTerminal, print, style } = output
  const asText = isTerminal && !json
  const progress = yield* Effect.scoped(Effect.tap(makeProgress(output), (progress) => show(asText, output, progress)))
  const { differences, last } = progress
  const ok = differences === 0
  if (!asText) yield* print(JSON.stringify({ ok, differences, ...numbers(last) }))
  else if (ok) yield* print(style.green(agree(progress)))
  else {
    yield* print(`${style.bold(counted(differences, "difference"))} in ${covered(last)}`)
    yield* print(style.dim(advice(progress)))
  }
  if (!ok) return yield* new Failed({ message: "" })
}, toTheEnd)

/** Corrects rows that differ with `--yes`. Otherwise prints which ones do. */
const rebuild = Effect.fn("Verify.rebuild")(
  function*({ json, yes }: Options & { readonly yes: boolean }): Effect.fn.Return<
    void,
    Failed | OutputClosed | StorageError,
    Journal | Output
  > {
    if (!yes) {
      return yield* verify({ json })
    }
    const output = yield* Output
    const journal = yield* Journal
    // Findings are not printed immediately: a slow reader of the output would keep the database locked.
    const { progress, written } = yield* Effect.scoped(
      Effect.flatMap(
        makeProgress(output),
        (progress) => Effect.map(journal.rebuild(progress.add), (written) => ({ progress, written }))
      )
    )
    const { last, others } = progress
    yield* output.print(
      output.isTerminal && !json
        ? output.style.green(
          written === 0
            ? `Nothing to repair: ${covered(last)}`
            : `Repaired ${counted(written, "row")}: ${covered(last)}`
        )
        : JSON.stringify({ ok: others === 0, written, ...numbers(last) })
    )
    if (others > 0) {
      const message = `${counted(others, "difference")} cannot be repaired; see caravel verify`
      return yield* new Failed({ message })
    }
  },
  toTheEnd
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "verify",
    help:
      "Folds the journal and compares every row with it, even while the database is being written. The exit code is 1 if any row differs.",
    options: { json, place },
    execute: onPlace(verify)
  }),
  Subcommand.make({
    name: "rebuild",
    help: "Rewrites the rows that differ from the journal, in one transaction, for which writers wait. " +
      "It adds no event to the journal and broadcasts nothing.",
    options: { yes, json, database },
    execute: onWritable(rebuild)
  })
]
