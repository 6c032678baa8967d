import { issuesOf, RelayFilter } from "@caravel/domain"
import { decodeInput } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Either, ParseResult, Schema } from "effect"

const issues = (value: unknown, schema: Schema.Schema<any, any> = RelayFilter) =>
  Either.match(decodeInput(schema, { errors: "all" })(value), { onLeft: issuesOf, onRight: () => [] })

describe("an error about input", () => {
  it("names the part of a field that is wrong, and not the field as well", () => {
    expect(issues({ status: ["active", "x"], limit: -1 })).toEqual([
      "status.1: Expected a relay's status: active, inactive or delinquent, got \"x\"",
      "limit: Expected a non-negative number, actual -1"
    ])
    const Settings = Schema.Struct({ names: Schema.optionalWith(Schema.Array(Schema.Int), { default: () => [] }) })
    expect(issues({ names: [1, "x"] }, Settings)).toEqual(["names.1: Expected number, actual \"x\""])
  })

  it("names an object and an array in plain words, whatever their fields", () => {
    const optional = Schema.optionalWith(Schema.Array(Schema.Struct({ a: Schema.Int })), { default: () => [] })
    expect(issues([], Schema.Struct({ optional }))).toEqual(["Expected an object, actual []"])
    expect(issues({ optional: {} }, Schema.Struct({ optional }))).toEqual(["optional: Expected an array, actual {}"])
    expect(issues({ optional: [3] }, Schema.Struct({ optional }))).toEqual(["optional.0: Expected an object, actual 3"])
    const record = Schema.Record({ key: Schema.String, value: Schema.Unknown })
    expect(issues("}, actual ", record)).toEqual(["Expected an object, actual \"}, actual \""])
  })

  it("has a message even if the value cannot be shown", () => {
    const list: Array<unknown> & { constructor?: unknown } = [false]
    list.constructor = "x"
    const either = Schema.Union(Schema.String, Schema.Array(Schema.String))
    expect(() =>
      ParseResult.ArrayFormatter.formatErrorSync(
        Either.getOrThrow(Either.flip(Schema.decodeUnknownEither(either)(list)))
      )
    ).toThrow()
    expect(issues(list, either)).toEqual(["Expected another value than this one, which cannot be shown"])
    const json = { names: [{ constructor: { name: { toString: 1, valueOf: 1 } } }] }
    const Names = Schema.Struct({ names: Schema.optional(Schema.NonEmptyArray(Schema.NonEmptyString)) })
    expect(issues(json, Names)).toEqual(["names.0: Expected another value than this one, which cannot be shown"])
  })
})
