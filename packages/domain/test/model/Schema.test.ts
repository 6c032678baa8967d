/** Which values the schemas accept, and that commands and events survive encoding to JSON. */
import {
  Activity,
  activityOf,
  CommandRequest,
  type CommandRequest as Request,
  decide,
  decodeCommand,
  type Event,
  events,
  evolve,
  PlanId,
  Position,
  Pubkey,
  RelayId,
  SetTenantSubscription,
  StorageError,
  Subdomain,
  Text,
  Version
} from "@caravel/domain"
import { isImport, NonEmptyText, NwcUrlInput, storableText } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Record as Rec, Redacted, Schema } from "effect"
import { alice, command, context, createAlice, createOne, empty, given, tags, url } from "../given.js"
import { anyCommand, oneOfEach } from "../programs.js"

const roundTrip = <A, I>(schema: Schema.Schema<A, I>, value: A): A =>
  Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value))))

/** Secrets are compared by value. */
const comparable = (request: Request) =>
  "nwcUrl" in request && request.nwcUrl ? { ...request, nwcUrl: Redacted.value(request.nwcUrl) } : { ...request }

describe("JSON", () => {
  it("decodes every command that was encoded", () => {
    fc.assert(fc.property(oneOfEach, (commands) => {
      expect(commands.map(({ _tag }) => _tag)).toEqual(tags)
      for (const command of commands) {
        const back = roundTrip(CommandRequest, command)
        expect(back.constructor).toBe(command.constructor)
        expect(comparable(back)).toEqual(comparable(command))
        expect(Effect.runSync(decodeCommand(JSON.parse(JSON.stringify(Schema.encodeSync(CommandRequest)(command))))))
          .toEqual(back)
      }
    }))
  })

  it("decodes every event of a command that was encoded, and contains no secret", () => {
    const seen = new Set<string>()
    fc.assert(fc.property(oneOfEach, fc.array(anyCommand, { maxLength: 30 }), (commands, before) => {
      let state = given(createAlice, createOne)
      for (const [n, command] of [...before, ...commands].entries()) {
        const event: Event | undefined = Either.getOrUndefined(decide(state, command, context(n)))
        if (event === undefined) continue
        seen.add(event._tag)
        state = evolve(state, event)
        const json = JSON.stringify(Schema.encodeSync(events[event._tag] as Schema.Schema<Event, unknown>)(event))
        expect(json).not.toContain(url)
        expect(Schema.decodeUnknownSync(events[event._tag] as Schema.Schema<Event, unknown>)(JSON.parse(json))).toEqual(
          event
        )
        const activity = activityOf({ ...event, position: Position.make(n + 1) })
        if (activity !== undefined) expect(roundTrip(Activity, activity)).toEqual(activity)
      }
    }))
    expect(seen).toEqual(new Set(Rec.keys(events).filter((tag) => !isImport(tag))))
  })

  it("omits fields that a command does not have", () => {
    const request = command("DeactivateRelay", { id: "one", tenant: alice, extra: 1 })
    expect(Schema.encodeSync(CommandRequest)(request)).toEqual({ _tag: "DeactivateRelay", id: "one" })
  })
})

const is = (schema: Schema.Schema.AnyNoContext) => (value: unknown) =>
  Either.isRight(Schema.decodeUnknownEither(schema)(value))

const label = (length: number) => "a".repeat(length)

const valid: ReadonlyArray<
  readonly [string, Schema.Schema.AnyNoContext, ReadonlyArray<unknown>, ReadonlyArray<unknown>]
> = [
  ["Pubkey", Pubkey, [alice, "0123456789abcdef".repeat(4)], [
    "",
    alice.toUpperCase(),
    label(63),
    label(65),
    `${alice}\n`,
    `${label(63)}g`,
    ` ${label(63)}`,
    1,
    null
  ]],
  ["RelayId", RelayId, ["a", "Z-_9", "-", "_", label(64)], ["", label(65), "a b", "a.b", "a/b", "é", "a\n", 1, null]],
  [
    "Subdomain",
    Subdomain,
    ["a", "0", "ab", "a-b", "a--b", "xn--a", label(63), `a${"-".repeat(61)}b`],
    ["", "-", "-a", "a-", "A", "a_b", "a.b", "é", label(64), "a\n", "\na", 1, null]
  ],
  [
    "PlanId",
    PlanId,
    ["free", "a", "0", "pro-2", "a_b-c", label(64)],
    ["", "-", "Free", "a--b", "a-", "_a", "a b", label(65), "a\n", "free\nfree", 1, null]
  ],
  ["Text", Text, ["", " ", "\n\t", "é", "\u{1F600}", "\u{10FFFF}", "\ufffd"], [
    "\0",
    "a\0b",
    "\ud800",
    "\udc00",
    "\udc00\ud800",
    "a\ud83d",
    1,
    null,
    undefined
  ]],
  ["NonEmptyText", NonEmptyText, ["a", " "], ["", "\0", "\ud800", null]],
  ["Version", Version, [1, 2 ** 53 - 1], [0, -1, 1.5, NaN, Infinity, "1", null]],
  ["Position", Position, [0, 1, 2 ** 53 - 1], [-1, 0.5, NaN, Infinity, "0", null]],
  ["NwcUrl", NwcUrlInput, [url, Redacted.make(url), "nostr+walletconnect://x"], [
    "",
    "nostr+walletconnect://",
    "nostr+walletconnect:/x",
    "NOSTR+walletconnect://x",
    ` ${url}`,
    `${url}\n`,
    `${url}\0`,
    `${url}\ud800`,
    "https://example.com",
    Redacted.make("https://example.com"),
    Redacted.make(5),
    5,
    null
  ]]
]

describe("text", () => {
  const long = "\u{1F600}".repeat(10_000_000)

  it("can have any length, and errors about it are short", () => {
    expect([Text, NwcUrlInput].map((schema) => is(schema)(`${url}${long}`))).toEqual([true, true])
    const outcome = Effect.runSync(Effect.either(decodeCommand({ _tag: "CreateTenant", pubkey: `${long}\0` })))
    expect(Either.isLeft(outcome) && outcome.left.message.length).toBeLessThan(2000)
  })

  it("is made storable, whatever it contains", () => {
    const odd = fc.array(fc.constantFrom("a", "\0", "\ud83d", "\ude00", "\u{1F600}", "…"), { maxLength: 12 }).map((
      all
    ) => all.join(""))
    fc.assert(fc.property(odd, fc.option(fc.nat({ max: 12 }), { nil: undefined }), (text, maxLength) => {
      const storable = storableText(text, maxLength)
      expect(is(Text)(storable)).toBe(true)
      expect(storable.length).toBeLessThanOrEqual(Math.max(1, maxLength ?? Infinity))
      expect(storableText(storable, maxLength)).toBe(storable)
      if (is(Text)(text) && text.length <= (maxLength ?? Infinity)) expect(storable).toBe(text)
      if (maxLength === undefined) expect(storable.replaceAll("\ufffd", "").length).toBeLessThanOrEqual(text.length)
    }))
    expect(["upstream said \0", "\ud800!", "\udc00\ud800"].map((text) => storableText(text))).toEqual([
      "upstream said \ufffd",
      "\ufffd!",
      "\ufffd\ufffd"
    ])
    expect([2, 3, 4, 5].map((most) => storableText("a\u{1F600}\u{1F600}", most))).toEqual([
      "a…",
      "a…",
      "a\u{1F600}…",
      "a\u{1F600}\u{1F600}"
    ])
  })
})

describe("schemas", () => {
  for (const [name, schema, accepted, refused] of valid) {
    it(`${name} accepts valid values and refuses all others`, () => {
      expect(accepted.map(is(schema))).toEqual(accepted.map(() => true))
      expect(refused.map(is(schema))).toEqual(refused.map(() => false))
    })
  }

  it("say what they expected and what they got", () => {
    const message = (payload: object) => {
      const outcome = Effect.runSync(Effect.either(decodeCommand(payload)))
      return Either.isLeft(outcome) ? outcome.left.message : "accepted"
    }
    expect(message({ _tag: "CreateTenant", pubkey: "short" }))
      .toContain("Expected a public key of 64 lower-case hex characters, got \"short\"")
    expect(message({ _tag: "CreateRelay", id: "one", tenant: alice, subdomain: "-" }))
      .toContain("Expected a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end, got \"-\"")
    expect(message({ _tag: "SetTenantSubscription", pubkey: alice, stripeSubscriptionId: "" })).toContain("got \"\"")
    expect(message({ _tag: "Nothing" })).toContain("_tag")
    expect(message({ _tag: "CreateTenant", pubkey: alice, nwcUrl: "https://secret" }))
      .toContain("Expected a URL that begins with nostr+walletconnect://")
    expect(message({ _tag: "CreateTenant", pubkey: alice, nwcUrl: "https://secret" })).not.toContain("secret")
  })

  it("fail with errors that say what to do", () => {
    const error = new StorageError({ reason: "full", operation: "commit", cause: new Error("disk I/O") })
    expect(error.message).toBe(
      "Storage failed at commit: disk I/O (the disk or the database is full; make room and try again)"
    )
    expect(new StorageError({ reason: "other", operation: "read", cause: "odd" }).message).toContain("odd")
    expect(Either.getLeft(decide(empty, createOne, context(0)))).toMatchObject({
      value: { message: `Tenant ${alice} does not exist; create it with createTenant first` }
    })
    expect(() => new SetTenantSubscription({ pubkey: Pubkey.make(alice), stripeSubscriptionId: "" })).toThrow(
      "id at Stripe"
    )
  })
})
