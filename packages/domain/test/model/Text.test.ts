import { Relay, Subdomain } from "@caravel/domain"
import { decodeInput, expected, NwcUrlInput, withoutSecrets } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { expectedUnseen } from "../../src/model/Text.js"

describe("withoutSecrets", () => {
  const wallet = "nostr+walletconnect://b889?relay=wss://r.example&secret=71a8"

  it("hides wallet URLs, private keys and passwords, and nothing else", () => {
    const hidden: ReadonlyArray<readonly [text: string, without: string]> = [
      [`set ${wallet} twice: "${wallet}"`, "set <redacted> twice: \"<redacted>\""],
      [wallet.toUpperCase(), "<redacted>"],
      [wallet.replace("+", "%2B"), "<redacted>"],
      ["nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5.", "<redacted>."],
      ["NSEC1VL029 and nsec1x", "<redacted> and <redacted>"],
      ["at postgres://root:pa55:word@db:5432/x", "at postgres://root:<redacted>@db:5432/x"],
      [encodeURIComponent(wallet), "<redacted>"],
      [`/v1/tenants/${encodeURIComponent(encodeURIComponent(wallet))}`, "/v1/tenants/<redacted>"],
      ["postgres%3A%2F%2Fu%3As3cret%40db%2Fx", "postgres%3A%2F%2Fu%3A<redacted>%40db%2Fx"],
      ["postgres://u%3Av:s%40cret@db/x", "postgres://u%3A<redacted>@db/x"],
      ["postgres://u:s/3@c@db/x, which is no URL", "postgres://u:<redacted>@db/x, which is no URL"],
      ["postgresql://:s3cret@db and POSTGRES://a:b@c", "postgresql://:<redacted>@db and POSTGRES://a:<redacted>@c"]
    ]
    for (const [text, without] of hidden) expect(withoutSecrets(text)).toBe(without)
    const plain = [
      "",
      "nsec1",
      "npub1abc",
      "nostr+walletconnect://…",
      "postgres://root@db:5432/x",
      "http://a:b@c",
      "postgres%3A%2F%2Fdb%3A5432",
      "postgres://db:5432/x,by=a@b"
    ]
    for (const text of plain) expect(withoutSecrets(text)).toBe(text)
  })

  it("reads a text once, however many beginnings of secrets it has", () => {
    const text = "postgres://a:".repeat(100_000)
    expect(withoutSecrets(text)).toBe(text)
  })

  it("leaves JSON valid", () => {
    const texts = [
      `${wallet}"`,
      `${wallet}\\`,
      `${wallet}\\" x`,
      `x\n${wallet}\ny`,
      "postgres://u:p\"w@h",
      "postgres://h:1"
    ]
    const values = texts.flatMap((text) => [[text, "a@b"], { text, c: "a@b" }, { [text]: "a@b" }, [[text], "a@b"]])
    for (const value of values) {
      const without = withoutSecrets(JSON.stringify(value))
      expect(JSON.stringify(JSON.parse(without))).toBe(without)
      expect(without).not.toMatch(/71a8|p\W*w/)
      expect(without).toContain("a@b")
    }
  })
})

describe("a refused value", () => {
  const messageOf = <A, I>(schema: Schema.Schema<A, I>, value: unknown) =>
    Effect.runSync(Effect.flip(decodeInput(schema)(value as I))).message
  const something = Schema.Unknown.pipe(Schema.filter(() => false), Schema.annotations(expected("something")))

  it("is shown, but not if it is long, has secrets or no JSON", () => {
    expect(messageOf(something, { a: 1 })).toContain("Expected something, got {\"a\":1}")
    expect(messageOf(something, undefined)).toContain("Expected something, got undefined")
    expect(messageOf(something, "x".repeat(198))).toContain(`got "${"x".repeat(198)}"`)
    const long = messageOf(something, `${"x".repeat(200)}yz`)
    expect(long).toContain(`got "${"x".repeat(200)}"… (202 characters)`)
    expect(long).not.toContain("y")
    expect(messageOf(something, "nsec1abc")).toContain("got \"<redacted>\"")
    expect(messageOf(something, `nsec1abc ${"x".repeat(300)}`)).toContain("got \"<redacted> x")
    expect(messageOf(something, `postgres://u:s",3cret@h/${"x".repeat(300)}`)).not.toContain("3cret")
    const password = `postgres://caravel:${"s3cret".repeat(20)}@db.example/caravel`
    for (
      const value of [`${"x".repeat(150)} ${password}`, `${password} ${"x".repeat(300)}`, ["x".repeat(150), password]]
    ) {
      expect(messageOf(something, value)).not.toContain("s3c")
    }
    expect(messageOf(something, 1n)).toContain("got a value of type bigint")
    expect(messageOf(Subdomain, "a b")).toContain("got \"a b\"")
    expect(messageOf(Relay.fields.infoName, "\ud800")).toContain("got \"\\ud800\"")
  })

  it("is not shown if it may be a secret", () => {
    expect(messageOf(NwcUrlInput, "hunter2")).toBe("Expected a URL that begins with nostr+walletconnect://")
    expect(messageOf(NwcUrlInput, 7)).not.toContain("7")
    const unseen = Schema.Unknown.pipe(Schema.filter(() => false), Schema.annotations(expectedUnseen("something")))
    expect(messageOf(unseen, "hunter2")).toBe("Expected something, got 7 characters")
    expect(messageOf(unseen, 7)).toBe("Expected something, got a value of type number")
  })
})
