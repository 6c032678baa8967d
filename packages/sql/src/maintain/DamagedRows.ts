/** What can be told of rows that may be damaged. */
import type { Position } from "@caravel/domain"
import { branded, issuesIn } from "@caravel/domain/adapter"
import { Data, type ParseResult } from "effect"

/** The field of a row that cannot be decoded. */
export const fieldOf = (error: ParseResult.ParseError): string => issuesIn(error)[0]?.path || "payload"

/** A stored number as a position; 0 if damage has made it something else. Each event is asked for it: no schema. */
export const positionOf = (stored: unknown): Position =>
  branded<Position>(typeof stored === "number" && Number.isSafeInteger(stored) && stored > 0 ? stored : 0)

/** A key is not valid text. It can be read, but not passed as a parameter to select its row or the rows after it. */
export class UnreadableKey extends Data.TaggedError("UnreadableKey")<{ readonly table: string; readonly key: string }> {
  override get message() {
    return `a row of table ${this.table} has a key that is not valid text, read as ${JSON.stringify(this.key)}`
  }
}
