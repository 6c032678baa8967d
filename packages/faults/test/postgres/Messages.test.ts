import { expect, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Messages } from "../../src/postgres/Messages.js"

const typed = (type: string, body: string) => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + body.length)
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)])
}

it("messages are found however their bytes arrive", () => {
  const startup = typed("", "the version and the options")
  const later = [typed("Q", "select 1"), typed("X", ""), typed("P", "prepared")]
  const pieces = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 40 })
  fc.assert(fc.property(pieces, fc.constantFrom("client" as const, "server" as const), (lengths, from) => {
    const sent = from === "client" ? [startup, ...later] : later
    const bytes = Buffer.concat(sent)
    const messages = new Messages(from)
    const found: Array<Buffer> = []
    for (let at = 0, n = 0; at < bytes.length; n++) {
      const end = at + lengths[n % lengths.length]!
      for (const message of messages.push(bytes.subarray(at, end))) found.push(message)
      at = end
    }
    expect(found).toEqual(sent)
  }))
})
