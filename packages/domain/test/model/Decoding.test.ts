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
  })
})
