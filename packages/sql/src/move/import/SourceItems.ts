/** The items of an import, and why an item is malformed. */
import { EventId, issuesOf } from "@caravel/domain"
import { type ActivityRow, storableText, type Why, withoutSecrets } from "@caravel/domain/adapter"
import { Either, type ParseResult, Schema, String as Str } from "effect"
import { activity } from "./SourceTables.js"

/** A row to import, with its table and key for reports. */
export interface Item {
  readonly table: "activity" | "tenant" | "relay"
  readonly key: string
  /** An activity's fields. Undefined for tenants and relays, which are looked up by their keys. */
  readonly row: Either.Either<ActivityRow | undefined, Why>
}

/** A row's values, in the order of its columns. */
export type Values = ReadonlyArray<unknown>

export const malformed = (error: ParseResult.ParseError): Why => {
  const issues = issuesOf(error).map((issue) => issue.replace(/^\w+:/, Str.camelToSnake))
  return { kind: "malformed", reason: storableText(withoutSecrets(issues.join("; ")), 500) }
}

export const activityItem = (values: Values, idOf: (name: string) => EventId): Item => ({
  table: "activity",
  key: `${values[activity.at.id]}`,
  row: Either.mapBoth(activity.decodeRow(values), {
    onLeft: malformed,
    onRight: ({ id, ...row }): ActivityRow =>
      isEventId(id)
        ? { ...row, id, formerId: undefined }
        : { ...row, id: idOf(`activity ${id}`), formerId: storableText(withoutSecrets(`${id}`), 256) }
  })
})

const isEventId = Schema.is(EventId)

export const rowItem = (table: "tenant" | "relay", [key, number]: Values): Item => ({
  table,
  key: `${key}`,
  row: typeof key !== "string"
    ? Either.left({ kind: "malformed", reason: "Its key is not text" })
    : Number(number) > 1
    ? Either.left({ kind: "duplicate", reason: "Another row has this key" })
    : Either.right(undefined)
})

/** A UUID of version 8 (RFC 9562) with the bits of a hash. */
export const uuidOf = (hex: string) =>
  EventId.make([
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32)
  ].join("-"))
