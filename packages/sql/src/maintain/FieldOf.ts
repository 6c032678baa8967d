import { ParseResult } from "effect"

/** The field of a row that cannot be decoded. */
export const fieldOf = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path.join(".") ?? "payload"
