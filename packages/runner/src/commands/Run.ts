/** `caravel run`: executes commands from JSON lines in order, and answers each by a JSON line. */
import { Activity, Command, commands, type CommandTag, decodeCommand } from "@caravel/domain"
import { namesCommand } from "@caravel/domain/adapter"
import * as Args from "@effect/cli/Args"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Chunk, Data, Duration, Effect, Either, Predicate, Record as Rec, Ref, Schedule, Stream } from "effect"
import { createReadStream } from "node:fs"
import process from "node:process"
import { create } from "../cli/Arguments.js"
import { mustBeReadable, unreadable } from "../cli/InputFile.js"
import { onWritable, type Place, place } from "../cli/Place.js"
import * as SentWith from "../cli/SentWith.js"
import { didYouMean } from "../cli/Suggestion.js"
import { shortened } from "../terminal/Layout.js"
import * as Lines from "../terminal/Lines.js"
import { Failed, Output, type OutputClosed, toTheEnd } from "../terminal/Output.js"
import { activityJson, errorJson } from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

/** A line is not JSON, or not a well-formed command. Nothing of the line was executed; later lines are. */
class MalformedLine extends Data.TaggedError("MalformedLine")<{ readonly message: string }> {}

/** How many lines were accepted and how many failed. */
interface Tally {
  readonly accepted: number
  readonly failed: number
}

// A message of JSON.parse quotes the input, which may contain a secret, so only the position is reported.
const parse = (text: string): Either.Either<unknown, MalformedLine> =>
  Either.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => {
      const at = /at position (\d+)/.exec(String(error))?.[1]
      const place = at === undefined ? "" : ` at column ${Number(at) + 1}`
      return new MalformedLine({ message: `The line is not valid JSON${place}` })
    }
  })

const tagOf = (input: unknown) => {
  if (!Predicate.hasProperty(input, "_tag")) return ""
  const tag = input._tag
  const suggestion = typeof tag === "string" ? didYouMean(tag, Rec.keys(commands)) : ""
  return `, got ${shortened(JSON.stringify(tag), 60)}${suggestion}`
}

/** An unknown key is an error: otherwise it would be silently ignored. */
const unknownKey = (input: { readonly _tag: CommandTag }): MalformedLine | undefined => {
  const known = [...Object.keys(commands[input._tag].fields), ...SentWith.lineKeys]
  const key = Rec.keys(input).find((key) => !known.includes(key))
  if (key === undefined) return undefined
  const name = JSON.stringify(shortened(key, 60))
  return new MalformedLine({ message: `${input._tag} has no field ${name}${didYouMean(key, known)}` })
}

const withoutText = {
  long: `The line is longer than ${Lines.maxLength} characters`,
  encoding: "The line is not UTF-8"
}

/** Executes the command on a line. Succeeds with its activity, if it logs one. */
const execute = Effect.fnUntraced(function*(line: Lines.Line) {
  if (line.text === null) return yield* new MalformedLine({ message: withoutText[line.problem] })
  const input = yield* Either.filterOrLeft(
    parse(line.text),
    namesCommand,
    (input) =>
      new MalformedLine({
        message: `Expected an object whose _tag names a command, such as CreateTenant${tagOf(input)}`
      })
  )
  const unknown = unknownKey(input)
  if (unknown !== undefined) return yield* unknown
  const request = yield* decodeCommand(input)
  const command = yield* Command
  const [result] = yield* command.submit([request]).pipe(SentWith.sentWith(input as SentWith.SentWith))
  return result
})

const answer = (line: Lines.Line): Effect.Effect<{ readonly ok: boolean; readonly json: string }, never, Command> =>
  Effect.match(execute(line), {
    onFailure: (error) => ({ ok: false, json: JSON.stringify({ line: line.number, error: errorJson(error) }) }),
    onSuccess: (result) => ({
      ok: true,
      json: JSON.stringify({
        line: line.number,
        ...(result instanceof Activity ? { activity: activityJson(result) } : { ok: true })
      })
    })
  })

const isBlank = ({ text }: Lines.Line) => text !== null && text.trim() === ""

/** Without a listener, an error that comes after the program was interrupted would end it with a stack trace. */
const reading = (file: string) => file === "-" ? process.stdin : createReadStream(file).on("error", () => {})

/** The bytes of a file, or of standard input for `-`. */
const open = (file: string): Stream.Stream<Uint8Array, Failed> =>
  NodeStream.fromReadable(
    () => reading(file),
    (error) => unreadable(file === "-" ? "Standard input" : file, error)
  )

/**
 * How many lines are sent at a time. The writer of a database decides them in order and commits them together; on the
 * way to a host, one request can overtake another.
 */
const linesAtATime = (place: Place) => "server" in place ? 1 : 64

const plural = (count: number, noun: string) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`

const summary = ({ accepted, failed }: Tally) =>
  `${plural(accepted + failed, "command")}: ${accepted} accepted, ${failed} failed`

/**
 * Executes the commands of a file, or of standard input for `-`, in order. A line that fails is answered by an error,
 * and the others are executed. The program fails at the end if any line did.
 */
const run = Effect.fn("Run.run")(function*(file: string, together: number): Effect.fn.Return<
  void,
  Failed | OutputClosed,
  Command | Output
> {
  const output = yield* Output
  const tally = yield* Ref.make<Tally>({ accepted: 0, failed: 0 })
  const status = Effect.flatMap(tally, (tally) => output.status(output.errorStyle.dim(summary(tally))))
  // On a terminal the results themselves show the progress.
  const progress = output.isErrorTerminal && !output.isTerminal
    ? Effect.repeat(status, Schedule.spaced(Duration.millis(100)))
    : Effect.never
  if (file === "-" && process.stdin.isTTY) {
    yield* output.note(output.errorStyle.dim("Reading commands, one JSON object per line; Ctrl-D ends"))
  }

  const lines = Lines.fromBytes(open(file)).pipe(
    Stream.filter((line) => !isBlank(line)),
    Stream.chunks,
    Stream.mapConcat(Chunk.chunksOf(together)),
    // An interruption waits for the answers to the lines that were sent: those that are executed are answered.
    Stream.runForEach((lines) =>
      Effect.uninterruptible(Effect.flatMap(Effect.forEach(lines, answer, { concurrency: "unbounded" }), (answers) => {
        const count = answers.filter(({ ok }) => ok).length
        return Effect.zipRight(
          Ref.update(tally, ({ accepted, failed }) => ({
            accepted: accepted + count,
            failed: failed + answers.length - count
          })),
          output.print(answers.map(({ json }) => json).join("\n"))
        )
      }))
    )
  )
  const conclude = output.isErrorTerminal
    ? Effect.flatMap(tally, (tally) => output.note(summary(tally)))
    : Effect.void
  yield* Effect.raceFirst(lines, Effect.zipRight(progress, Effect.never)).pipe(Effect.ensuring(conclude))
  const { failed } = yield* tally
  if (failed > 0) return yield* new Failed({ message: "" })
}, toTheEnd)

const atPlace = onWritable(({ file, metadata, place }: {
  readonly file: string
  readonly metadata: SentWith.SentWith["metadata"]
  readonly place: Place
}) => SentWith.sentWith({ metadata })(run(file, linesAtATime(place))))

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "run",
    help: "Executes commands from JSON lines, in order, such as {\"_tag\":\"DeactivateRelay\",\"id\":\"a\"}. " +
      "Each is answered with a JSON line that has its number; the exit code is 1 if any failed. A line may also have " +
      "\"idempotencyKey\", \"expectedVersion\" and \"metadata\", such as {\"actor\":\"billing\"}.",
    options: {
      file: Args.text({ name: "FILE" }).pipe(
        Args.withDescription("A file of commands, one JSON object per line; standard input if it is - or omitted."),
        Args.withDefault("-")
      ),
      metadata: SentWith.metadata,
      create,
      place
    },
    execute: (options) =>
      Effect.zipRight(options.file === "-" ? Effect.void : mustBeReadable(options.file), atPlace(options))
  })
]
