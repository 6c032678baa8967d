import { Text } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Data, FastCheck, FiberId, Option, ParseResult, Redacted, Schema } from "effect"
import { describe as describeValue, describeCause } from "../../src/consumer/HandlerFailure.js"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {
  code: Schema.String,
  card: Schema.Redacted(Schema.String)
}) {}

class NoRoute
  extends Data.TaggedError("NoRoute")<{ readonly message: string; readonly hops: number; readonly name: string }>
{}

const circular: { self?: unknown } = {}
circular.self = circular

const hostile = new Proxy({}, {
  get: () => {
    throw new Error("get")
  },
  has: () => {
    throw new Error("has")
  },
  ownKeys: () => {
    throw new Error("ownKeys")
  },
  getPrototypeOf: () => {
    throw new Error("getPrototypeOf")
  }
})

const mute = Object.defineProperty(new Error(), "message", {
  get: () => {
    throw new Error("message")
  }
})

const endless = { toJSON: () => ({ ...endless }) }

describe("a handler's failure", () => {
  it("is described by its tag, message and fields", () => {
    expect(describeValue(new CardDeclined({ code: "insufficient_funds", card: Redacted.make("4242") })))
      .toBe(`CardDeclined: {"code":"insufficient_funds","card":<redacted>}`)
    expect(describeValue(new NoRoute({ message: "no route", hops: 3, name: "r1" })))
      .toBe(`NoRoute: no route {"hops":3,"name":"r1"}`)
    expect(describeValue({ _tag: "Refused", code: 5 })).toBe(`Refused: {"code":5}`)
    // @effect-diagnostics-next-line globalDate:off
    expect(describeValue({ code: 5, nested: { at: new Date(0), list: [1, "a", null] } }))
      .toBe(`{"code":5,"nested":{"at":"1970-01-01T00:00:00.000Z","list":[1,"a",null]}}`)
    expect(describeValue(new Error("outer", { cause: new TypeError("inner") })))
      .toBe("Error: outer (caused by TypeError: inner)")
    expect(describeValue(new AggregateError([new Error("one"), "two"], "both")))
      .toBe(`AggregateError: both [Error: one,"two"]`)
    expect(describeValue(Object.assign(new Error("refused"), { code: "ECONNREFUSED" })))
      .toBe(`Error: refused {"code":"ECONNREFUSED"}`)
    expect(describeValue(Option.some(5))).toBe(`Some: {"_id":"Option","value":5}`)
    expect(describeValue("no r1")).toBe("no r1")
    const parseError = ParseResult.decodeUnknownEither(Schema.Struct({ a: Schema.Number }))({ a: "x" })
    expect(parseError._tag === "Left" && describeCause(Cause.fail(ParseResult.parseError(parseError.left))))
      .toMatch(/^ParseError: [^{]*\{ readonly a: number \}[^{]*Expected number, actual "x"$/)
  })

  it("is described for every kind of cause: failures, defects and interruptions", () => {
    expect(describeCause(Cause.sequential(Cause.die("defect"), Cause.fail("failure")))).toBe("failure")
    expect(describeCause(Cause.parallel(Cause.interrupt(FiberId.none), Cause.die(new Error("defect"))))).toBe(
      "Error: defect"
    )
    expect(describeCause(Cause.interrupt(FiberId.none))).toMatch(/^Interrupted: /)
  })

  it("is described as text that can be stored, even if reading it throws", () => {
    const deep = Array.from({ length: 100 }).reduce<unknown>((inner) => ({ inner }), 1)
    const many = Array.from({ length: 1000 }, () => "long ".repeat(1000))
    const wide = Array.from({ length: 100_000 }, () => many)
    const values = [
      undefined,
      null,
      NaN,
      5n,
      Symbol("s"),
      () => 1,
      class {},
      hostile,
      mute,
      circular,
      endless,
      deep,
      wide,
      new Proxy(new Error("x"), { get: () => hostile }),
      Object.create(null),
      {
        get a() {
          throw new Error("a")
        }
      },
      {
        toJSON: () => {
          throw hostile
        }
      },
      new Uint8Array(1e6),
      new Map([[1, hostile]]),
      new Set([circular]),
      "\0 \ud800",
      { "\0": "\ud800" },
      "x".repeat(1e7),
      new Error("y".repeat(1e7)),
      new WeakMap(),
      new Promise(() => {})
    ]
    for (const value of values) {
      const told = describeCause(Cause.fail(value))
      expect(told.length).toBeGreaterThan(0)
      expect(told.length).toBeLessThanOrEqual(2000)
      expect(Schema.is(Text)(told)).toBe(true)
    }
  })

  it("is described for any value", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.anything({ withBigInt: true, withMap: true, withSet: true, withNullPrototype: true, withDate: true }),
        (value) => {
          const told = describeValue(value)
          return told.length <= 2000 && Schema.is(Text)(told)
        }
      ),
      { seed: 13, numRuns: 500 }
    )
  })

  it("is described without secrets", () => {
    const url = "nostr+walletconnect://b0b?relay=wss://r&secret=5ec2e7"
    const values = [
      url,
      new Error(`cannot pay with ${url}`),
      { request: { url } },
      { password: "5ec2e7", nested: { apiKey: "5ec2e7", Authorization: "Bearer 5ec2e7" } },
      new CardDeclined({ code: url, card: Redacted.make("5ec2e7") }),
      new Error("x", { cause: { url: Redacted.make("5ec2e7") } }),
      `${"x".repeat(1990)} ${url}`,
      new Map([["url", url]])
    ]
    for (const value of values) expect(describeValue(value)).not.toContain("5ec2e7")
  })
})
