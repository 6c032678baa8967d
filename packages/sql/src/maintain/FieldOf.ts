import { ParseResult } from "effect"

/** Which field of a row cannot be read. */
export const fieldOf = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path.join(".") ?? "payload"
