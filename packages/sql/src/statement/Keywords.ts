/**
 * The keywords with which a statement begins, after comments. A comment matches in one way only: otherwise matching a
 * line of dashes would take forever.
 */
export const startsWith = (keywords: string): RegExp =>
  new RegExp(String.raw`^(?:[\s;]|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*(?:${keywords})\b`, "i")
