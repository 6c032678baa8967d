/** Input from files: commands as JSON lines, for `caravel run`. */
import { Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Effect, FastCheck as fc } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as Entrance from "./Entrance.js"
import { tagged } from "./Payloads.js"
import * as Program from "./Program.js"
import { edited, garbled, jsonValues } from "./Values.js"

const linesPerFile = 100

const keys = fc.record({
  idempotencyKey: fc.constantFrom("1", "2"),
  expectedVersion: fc.nat(3),
  metadata: fc.constant({ actor: "me" })
}, { requiredKeys: [] })

const json = edited(
  fc.tuple(tagged, fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, keys)).map(([command, keys]) => ({
    ...command,
    ...keys
  })),
  jsonValues
).map((line) => Buffer.from(JSON.stringify(line) ?? ""))

/** Lines that have gone wrong in other programs: deep, doubled, with a mark in front. */
const notorious = fc.constantFrom(
  "[".repeat(20_000),
  "{\"a\":".repeat(5_000),
  "{\"_tag\":\"CreateTenant\",\"_tag\":\"CreateRelay\"}",
  "\ufeff{\"_tag\":\"SetTenantPastDue\",\"pubkey\":\"a\"}",
  "{\"_tag\":\"SetTenantPastDue\",\"pubkey\":1e400}",
  "\"x\"",
  "0"
).map((text) => Buffer.from(text))

const line = fc.oneof(
  { weight: 6, arbitrary: json },
  { weight: 3, arbitrary: garbled(json) },
  { weight: 1, arbitrary: notorious }
).map((line) => Buffer.from(line.filter((byte) => byte !== 10)))

interface Input {
  readonly lines: ReadonlyArray<Buffer>
  readonly end: string
}

/** Whether the program sees a line as blank, and answers nothing. */
const isBlank = (line: Buffer) => line.toString().trim() === ""

/** Whether an accepted line has an idempotency key. */
const hasKey = (line: Buffer) => "idempotencyKey" in JSON.parse(line.toString())

interface Answered {
  readonly line: number
  readonly error?: { readonly error?: string; readonly _tag?: string }
}

const open = (directory: string) =>
  Effect.gen(function*() {
    const database = join(directory, "lines.db")
    const file = join(directory, "lines.jsonl")
    const head = Effect.flatMap(Journal, ({ head }) => head).pipe(
      Effect.provide(Sqlite.layer({ filename: database, synchronous: "normal" })),
      Effect.orDie
    )
    yield* head
    let before = 0
    return {
      inputs: fc.record({
        lines: fc.array(line, { minLength: linesPerFile, maxLength: linesPerFile }),
        end: fc.constantFrom("\n", "\r\n")
      }),
      answer: ({ end, lines }: Input): Effect.Effect<Entrance.Answer> =>
        Effect.gen(function*() {
          yield* Effect.promise(() =>
            fs.writeFile(file, Buffer.concat(lines.flatMap((line) => [line, Buffer.from(end)])))
          )
          const { stderr, stdout, wrong } = yield* Program.run(["run", file, "--database", database])
          if (wrong !== undefined) return { wrong }
          const answers: ReadonlyArray<Answered> = stdout.flatMap((text) => text.split("\n")).map((text) =>
            JSON.parse(text)
          )
          const expected = lines.flatMap((line, index) => isBlank(line) ? [] : [index + 1])
          if (JSON.stringify(answers.map(({ line }) => line)) !== JSON.stringify(expected)) {
            return { wrong: `${answers.length} answers for ${expected.length} lines: ${stderr}` }
          }
          const accepted = answers.filter(({ error }) => error === undefined)
          // A repeated key is answered without another event.
          const keyless = accepted.filter(({ line }) => !hasKey(lines[line - 1]!)).length
          const grown = (yield* head) - before
          if (grown < keyless || grown > accepted.length) {
            return { wrong: `${accepted.length} accepted, ${keyless} of them without a key, and ${grown} events` }
          }
          before += grown
          return accepted.length
        })
    }
  })

/** Lines of JSON from a file. */
export const jsonLines: Entrance.Entrance = Entrance.make({
  name: "JSON lines",
  counts: { short: 1_000, long: 40_000 },
  parts: linesPerFile,
  open
})
