import { issuesIn } from "@caravel/domain/adapter"
import type { ParseResult } from "effect"

/** The field of a row that cannot be decoded. */
export const fieldOf = (error: ParseResult.ParseError): string => issuesIn(error)[0]?.path || "payload"
