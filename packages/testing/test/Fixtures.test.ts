import { pubkey, relay, tenant } from "@caravel/testing"
import { describe, expect, it } from "@effect/vitest"
import { Redacted } from "effect"

describe("fixtures", () => {
  it("pubkeys differ as their names do", () => {
    expect(pubkey("alice")).toBe(`616c696365${"0".repeat(54)}`)
    expect(pubkey("ålice")).toMatch(/^[0-9a-f]{64}$/)
    expect(() => pubkey("a".repeat(33))).toThrow("64 lower-case hex characters")
  })

  it("take fields in plain values", () => {
    const url = "nostr+walletconnect://wallet"
    const bobs = tenant({ pubkey: pubkey("bob"), nwcUrl: url })
    expect(bobs.nwcUrl).toEqual(Redacted.make(url))
    expect(tenant()).toMatchObject({ pubkey: pubkey("alice"), nwcUrl: null, version: 1 })
    expect(relay({ tenant: bobs.pubkey, status: "delinquent" })).toMatchObject({
      id: "main",
      subdomain: "main",
      tenant: bobs.pubkey,
      plan: "free",
      status: "delinquent"
    })
    expect(() => relay({ subdomain: "-" })).toThrow("a subdomain of 1 to 63")
  })

  it("give a relay of any id a subdomain", () => {
    const ids = ["chat", "Chat_1", "-a-", "chat_", "a".repeat(64), `${"a".repeat(62)}_b`, "_", "-".repeat(64)]
    expect(ids.map((id) => relay({ id }).subdomain)).toEqual(
      ["chat", "chat-1", "a", "chat", "a".repeat(63), "a".repeat(62), "relay", "relay"]
    )
  })
})
