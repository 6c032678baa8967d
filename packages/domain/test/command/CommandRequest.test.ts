import { type CommandRequest, commands } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Either, Equal, FastCheck as fc, Record as Rec, Schema } from "effect"
import { decodePayload } from "../../src/command/CommandRequest.js"
import { tags } from "../given.js"
import { anyCommand, oneOfEach } from "../programs.js"

const schemas = commands as unknown as { readonly [tag: string]: Schema.Schema<CommandRequest, object> }

const encode = (command: CommandRequest) => Schema.encodeSync(schemas[command._tag]!)(command)

/** Valid and invalid values of fields. */
const anyValue = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, "", "free", "a b", "\0", "\ud800", "-x-", "x".repeat(300)),
  fc.anything()
)

/** A command's plain values, some of them replaced or removed. */
const changed = anyCommand.chain((command) => {
  const names = Object.keys(encode(command))
  return fc.tuple(fc.dictionary(fc.constantFrom(...names, "other"), anyValue), fc.subarray(names)).map(
    ([changes, absent]) =>
      [
        command._tag,
        Rec.filter<string, unknown>({ ...encode(command), ...changes }, (_, name) => !absent.includes(name))
      ] as const
  )
})

describe("decoding a command", () => {
  it("returns the same as the schema, for all commands", () => {
    fc.assert(fc.property(oneOfEach, (all) => {
      for (const command of all) {
        const again = Either.getOrThrow(decodePayload(command._tag, encode(command)))
        expect(again).toStrictEqual(Schema.decodeSync(schemas[command._tag]!)(encode(command)))
        expect(Equal.equals(again, command)).toBe(true)
      }
    }))
  })

  it("accepts nothing that the schema refuses, and returns the same values otherwise", () => {
    let refused = 0
    fc.assert(
      fc.property(fc.oneof(changed, fc.tuple(fc.constantFrom(...tags), anyValue)), ([tag, input]) => {
        const expected = Schema.decodeUnknownEither(schemas[tag]!)(input)
        const decoded = decodePayload(tag, input)
        expect(Either.isRight(decoded)).toBe(Either.isRight(expected))
        if (Either.isRight(expected)) expect(Either.getOrThrow(decoded)).toStrictEqual(expected.right)
        else refused++
      }),
      { numRuns: 2000 }
    )
    expect(refused).toBeGreaterThan(100)
  })
})
