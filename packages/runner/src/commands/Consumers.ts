/** `caravel consumers`: the state of durable consumers, and what can be done about one. */
import { type Epoch, Journal } from "@caravel/domain"
import { withoutSecrets } from "@caravel/domain/adapter"
import { Consumer, type ConsumerStore } from "@caravel/pubsub"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { Chunk, DateTime, Effect, Option, Stream } from "effect"
import { json, yes } from "../cli/Arguments.js"
import { format, formatted, watch, watched } from "../cli/Format.js"
import { onPlace, onWritable, place } from "../cli/Place.js"
import * as Values from "../cli/Values.js"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output, type Style, toTheEnd } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

const pageSize = 500

const plural = (count: number, noun: string) => `${count} ${count === 1 ? noun : noun.replace(/y$/, "ie") + "s"}`

/** A handler's error may quote its input. */
const safe = (error: string | null) => error === null ? null : withoutSecrets(error)

const lagJson = ({ lastError, progressedAt, ...lag }: Consumer.Lag) => ({
  ...lag,
  lastError: safe(lastError),
  progressedAt: progressedAt === null ? null : DateTime.formatIso(progressedAt)
})

const parkedJson = ({ activity, attempts, error, parkedAt }: ConsumerStore.Parked) => ({
  ...Render.activityJson(activity),
  attempts,
  error: safe(error),
  parkedAt: DateTime.formatIso(parkedAt)
})

const age = (seconds: number) => {
  if (seconds < 1) return seconds === 0 ? "-" : "<1 s"
  if (seconds < 120) return `${Math.floor(seconds)} s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`
}

const statusCell = (lag: Consumer.Lag, current: Epoch, style: Style): Layout.Cell => {
  const { attempts, epoch, failedPosition, lastError, position, status } = lag
  if (epoch !== current) return { text: "of an earlier epoch: consumers reset", paint: style.red }
  switch (status) {
    case "running":
      return { text: status, paint: style.green }
    case "retrying":
    case "halted": {
      const text = `${status} at ${failedPosition} after ${plural(attempts, "attempt")}: ${safe(lastError) ?? ""}`
      return { text, paint: style.red }
    }
    case "stopped": {
      // A handler that was interrupted leaves the reason.
      const isCutOff = lastError !== null && failedPosition !== null && failedPosition > position
      return { text: isCutOff ? `${status} at ${failedPosition}: ${safe(lastError)}` : status, paint: style.yellow }
    }
  }
}

const lagTable = (lags: ReadonlyArray<Consumer.Lag>, current: Epoch, output: typeof Output.Service) =>
  Layout.table(
    ["name", "position", "behind", "waiting", "parked", "status"],
    lags.map((lag) => [
      lag.name,
      String(lag.position),
      { text: String(lag.activities), paint: lag.activities === 0 ? output.style.dim : output.style.yellow },
      age(lag.seconds),
      { text: String(lag.parked), paint: lag.parked === 0 ? output.style.dim : output.style.red },
      statusCell(lag, current, output.style)
    ]),
    output
  )

const parkedTable = (parked: ReadonlyArray<ConsumerStore.Parked>, output: typeof Output.Service) =>
  Layout.table(
    ["position", "activity", "resource", "attempts", "error"],
    parked.map(({ activity, attempts, error }) => [
      String(activity.position),
      { text: activity.activityType, paint: output.style.cyan },
      Render.short(activity.resourceId),
      String(attempts),
      attempts === 0
        ? { text: "waits behind an earlier one", paint: output.style.dim }
        : { text: safe(error) ?? "", paint: output.style.red }
    ]),
    output
  )

/** Prints the result, for people or for programs. */
const report = (json: boolean, text: string, result: object, paint: "green" | "yellow" = "green") =>
  Effect.flatMap(
    Output,
    (output) => output.print(output.isTerminal && !json ? output.style[paint](text) : JSON.stringify(result))
  )

/** Shows all consumers and their lag. */
const list = Effect.fn("Consumers.list")(function*() {
  const output = yield* Output
  const lags = yield* Consumer.list
  if (!output.isTerminal) {
    return yield* Effect.forEach(lags, (lag) => output.print(JSON.stringify(lagJson(lag))), { discard: true })
  }
  if (lags.length === 0) return yield* output.note("No consumer has run on this database yet")
  const epoch = yield* Effect.flatMap(Journal, (journal) => journal.epoch)
  yield* Effect.forEach(lagTable(lags, epoch, output), output.print, { discard: true })
})

/** Shows a consumer's parked activities, oldest first. */
const parked = Effect.fn("Consumers.parked")(
  function*({ name }: { readonly name: string }) {
    const output = yield* Output
    const pages = Stream.paginateEffect(
      0,
      (after) =>
        Effect.map(Consumer.parked(name, { after, limit: pageSize }), (page) =>
          [
            page,
            Option.map(
              Option.filter(Chunk.last(Chunk.unsafeFromArray(page)), () => page.length === pageSize),
              ({ activity }) => activity.position
            )
          ] as const)
    )
    if (!output.isTerminal) {
      return yield* pages.pipe(
        Stream.mapConcat((page) => page),
        Stream.runForEach((parked) => output.print(JSON.stringify(parkedJson(parked))))
      )
    }
    const all = (yield* Stream.runCollect(pages)).pipe(Chunk.toReadonlyArray).flat()
    if (all.length === 0) return yield* output.note(`${name} has no parked activities`)
    yield* Effect.forEach(parkedTable(all, output), output.print, { discard: true })
  }
)

/**
 * Requests a replay of parked activities from the program that runs a consumer, and waits until it is done. Fails if
 * activities are parked then.
 */
const replay = Effect.fn("Consumers.replay")(
  function*({ json, name }: { readonly name: string; readonly json: boolean }) {
    const output = yield* Output
    const before = yield* Consumer.lag(name)
    if (before.owner === null) {
      const message = `No program runs ${name}, and only that program has its handler; start it, then replay`
      return yield* new Failed({ message })
    }
    if (before.parked > 0) {
      yield* output.note(
        `Waiting for ${name} to handle ${plural(before.parked, "activity")}; Ctrl-C stops only the waiting`
      )
    }
    yield* Consumer.requestReplay(name)
    const { parked } = yield* Consumer.lag(name)
    yield* report(
      json,
      parked === 0
        ? `${name} has no parked activities left`
        : `${plural(parked, "activity")} failed again or ${
          parked === 1 ? "waits" : "wait"
        } behind one that did: caravel consumers parked ${name}`,
      { name, parked },
      parked === 0 ? "green" : "yellow"
    )
    if (parked > 0) return yield* new Failed({ message: "" })
  },
  toTheEnd
)

/** Deletes parked activities of a consumer: those at the given positions, or all. */
const drop = Effect.fn("Consumers.drop")(
  function*({ json, name, positions, yes }: {
    readonly name: string
    readonly positions: ReadonlyArray<number>
    readonly yes: boolean
    readonly json: boolean
  }) {
    if (positions.length === 0 && !yes) {
      const { parked } = yield* Consumer.lag(name)
      const message = `${name} has ${plural(parked, "activity")} parked; --yes drops all, --position N one of them`
      return yield* new Failed({ message })
    }
    // All positions are checked before any is dropped: if one was mistyped, others may be wrong too.
    for (const position of positions) {
      const [found] = yield* Consumer.parked(name, { after: Math.max(0, position - 1), limit: 1 })
      if (found?.activity.position !== position) {
        return yield* new Failed({ message: `${name} has nothing parked at position ${position}; nothing was dropped` })
      }
    }
    const dropped = yield* Consumer.drop(name, positions.length === 0 ? undefined : positions)
    yield* report(json, `Dropped ${plural(dropped, "activity")}`, { name, dropped })
  }
)

/** Moves a consumer to a position, backward or forward. */
const reset = Effect.fn("Consumers.reset")(
  function*({ json, name, to, yes }: {
    readonly name: string
    readonly to: number
    readonly yes: boolean
    readonly json: boolean
  }) {
    const { position } = yield* Consumer.lag(name)
    const head = yield* Effect.flatMap(Journal, (journal) => journal.head)
    if (to > head) return yield* new Failed({ message: `There is no position ${to} yet; the last one is ${head}` })
    if (!yes) {
      const consequence = to < position
        ? `makes it handle the activities after ${to} again, parked or not`
        : `makes it skip the activities up to ${to} that it has not handled`
      return yield* new Failed({ message: `${name} is at ${position}: moving to ${to} ${consequence}; --yes does it` })
    }
    yield* Consumer.reset(name, to)
    yield* report(json, `${name} continues after position ${to}`, { name, position: to })
  }
)

const name = Args.text({ name: "NAME" }).pipe(
  Args.withDescription("The consumer's name, as caravel consumers shows it. Required.")
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "consumers",
    help: "Shows the durable consumers: the position, the backlog and the parked activities of each. " +
      "See also consumers parked, consumers replay, consumers drop and consumers reset.",
    options: { watch, format, place },
    execute: onPlace(formatted(watched(list)))
  }),
  Subcommand.make({
    name: "consumers parked",
    help:
      "Shows the activities that a consumer has parked because they failed, or because they wait behind one that did.",
    options: { name, format, place },
    execute: onPlace(formatted(parked))
  }),
  Subcommand.make({
    name: "consumers replay",
    help:
      "Asks the program that runs the consumer to handle its parked activities again, oldest first, and waits for it. " +
      "The exit code is 1 if activities are still parked then.",
    options: { name, json, place },
    execute: onWritable(replay)
  }),
  Subcommand.make({
    name: "consumers drop",
    help: "Drops parked activities of a consumer: they will not be handled.",
    options: {
      name,
      positions: Values.options("position", Values.integer(1), "position").pipe(
        Options.withDescription("Only the activity at this position; may be repeated. All, with --yes, if omitted.")
      ),
      yes,
      json,
      place
    },
    execute: onWritable(drop)
  }),
  Subcommand.make({
    name: "consumers reset",
    help:
      "Moves a consumer backward or forward; it may be running. Activities after the position are handled, parked or not.",
    options: {
      name,
      to: Values.option("to", Values.integer(0)).pipe(
        Options.withPseudoName("position"),
        Options.withDescription("The position to continue after; 0 is the beginning. Required.")
      ),
      yes,
      json,
      place
    },
    execute: onWritable(reset)
  })
]
