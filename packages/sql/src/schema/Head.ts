import { Position } from "@caravel/domain"
import { branded } from "@caravel/domain/adapter"
import { Either, type ParseResult, Schema } from "effect"
import type { ResultRows } from "../statement/StatementScript.js"

const decode = Schema.decodeUnknownEither(Position)

/** Decodes what `Dialect.lastPosition` selects. Fails if the sequence is damaged. */
export const headOf = ([row]: ResultRows): Either.Either<Position, ParseResult.ParseError> => {
  const head = row?.[0]
  return Number.isSafeInteger(head) && head as number >= 0
    ? Either.right(branded<Position>(head as number))
    : decode(head)
}
