import { type CommandRequest, commands } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Either, FastCheck as fc, Record, Schema } from "effect"
import * as Decoder from "../../src/command/Decoder.js"
import { tags } from "../given.js"
import { anyCommand, oneOfEach } from "../programs.js"

const schemas = commands as unknown as { readonly [tag: string]: Schema.Schema<CommandRequest, object> }
const readers = Record.map(commands, (schema) => Decoder.make<CommandRequest>(schema))

const encode = (command: CommandRequest) => Schema.encodeSync(schemas[command._tag]!)(command)

/** What may be a value of a command, or not. */
const anyValue = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, "", "free", "a b", "\0", "\ud800", "-x-", "x".repeat(300)),
  fc.anything()
)

/** A command's plain values, of which some were replaced or taken away. */
const changed = anyCommand.chain((command) => {
  const names = Object.keys(encode(command))
  return fc.tuple(fc.dictionary(fc.constantFrom(...names, "other"), anyValue), fc.subarray(names)).map(
    ([changes, absent]) =>
      [
        command._tag,
        Record.filter<string, unknown>({ ...encode(command), ...changes }, (_, name) => !absent.includes(name))
      ] as const
  )
})

describe("reading a command without its schema", () => {
  it("gives what the schema gives, for all but those with secrets", () => {
    const read = new Set<string>()
    fc.assert(fc.property(oneOfEach, (all) => {
      for (const command of all) {
        const again = readers[command._tag](encode(command))
        if (again === undefined) continue
        read.add(command._tag)
        expect(again).toStrictEqual(Schema.decodeSync(schemas[command._tag]!)(encode(command)))
      }
    }))
    expect([...read].sort()).toEqual(tags.filter((tag) => tag !== "CreateTenant" && tag !== "UpdateTenant").sort())
  })

  it("takes nothing that the schema refuses, and changes nothing otherwise", () => {
    let refused = 0
    fc.assert(
      fc.property(fc.oneof(changed, fc.tuple(fc.constantFrom(...tags), anyValue)), ([tag, input]) => {
        const expected = Schema.decodeUnknownEither(schemas[tag]!)(input)
        const command = readers[tag](input)
        if (command !== undefined) expect(command).toStrictEqual(Either.getOrThrow(expected))
        else if (Either.isLeft(expected)) refused++
      }),
      { numRuns: 2000 }
    )
    expect(refused).toBeGreaterThan(100)
  })
})
