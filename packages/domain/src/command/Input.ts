/** Decodes the input of callers to commands, and checks it against the limits. */
import { Effect, Either, ParseResult, Redacted, Schema } from "effect"
import { inputError } from "../model/Decoding.js"
import { mapInSteps, runInTurns } from "../runtime/Steps.js"
import { type CommandRequest, decodeCommand, decodePayload } from "./CommandRequest.js"
import type { CommandTag } from "./CommandTable.js"
import type { InputLimits } from "./InputLimits.js"

type Reading<A> = Either.Either<A, ParseResult.ParseError>

export const make = ({ charactersPerSubmit, charactersPerText, commandsPerSubmit }: typeof InputLimits.Service) => {
  /** Returns the number of characters in a command's texts. Fails if one text is too long. */
  const measure = (command: CommandRequest): Reading<number> => {
    let sum = 0
    for (const value of Object.values(command)) {
      const length = lengthOf(value)
      if (length > charactersPerText) return Either.left(tooLong(command, charactersPerText))
      sum += length
    }
    return Either.right(sum)
  }

  return {
    readOne: (tag: CommandTag, payload: unknown): Reading<CommandRequest> => {
      const decoded = decodePayload(tag, payload)
      if (Either.isLeft(decoded)) return decoded
      const measured = measure(decoded.right)
      return Either.isLeft(measured) ? Either.left(measured.left) : decoded
    },

    readAll: (inputs: unknown): Effect.Effect<ReadonlyArray<CommandRequest>, ParseResult.ParseError> =>
      Effect.suspend(() => {
        if (!Array.isArray(inputs)) return Effect.fail(malformed("Expected an array of commands"))
        if (inputs.length > commandsPerSubmit) {
          return Effect.fail(malformed(`Expected at most ${commandsPerSubmit} commands, got ${inputs.length}`))
        }
        let characters = 0
        return runInTurns(mapInSteps(inputs, (input: unknown, index) => {
          const decoded = decodeCommand(input)
          if (Either.isLeft(decoded)) return Either.left(at(index, decoded.left))
          const measured = measure(decoded.right)
          if (Either.isLeft(measured)) return Either.left(at(index, measured.left))
          characters += measured.right
          return characters > charactersPerSubmit
            ? Either.left(malformed(`Expected commands of at most ${charactersPerSubmit} characters together`))
            : decoded
        }))
      })
  }
}

const lengthOf = (value: unknown): number =>
  typeof value === "string"
    ? value.length
    : Redacted.isRedacted(value)
    ? String(Redacted.value(value)).length
    : 0

const tooLong = (command: CommandRequest, most: number) => {
  const [name = "", value] = Object.entries(command).find(([, value]) => lengthOf(value) > most) ?? []
  return at(name, malformed(`Expected text of at most ${most} characters, got ${lengthOf(value)}`))
}

/** The error does not contain the input, which is long or may hold a secret. */
const malformed = (message: string) =>
  inputError(ParseResult.parseError(new ParseResult.Type(Schema.Unknown.ast, undefined, message)))

const at = (place: PropertyKey, { issue }: ParseResult.ParseError) =>
  inputError(ParseResult.parseError(new ParseResult.Pointer(place, undefined, issue)))
