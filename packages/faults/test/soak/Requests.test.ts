import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { createServer, type RequestListener } from "node:http"
import { consecutive, requesting } from "../../src/soak/Requests.js"

/** What is wrong with the answers of a server. */
const wrongWith = (answer: RequestListener) =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.async<ReturnType<typeof createServer>>((resume) => {
        const server = createServer(answer).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const seen = { answer: () => {}, activity: () => {} }
    return (yield* Effect.flip(requesting(`http://127.0.0.1:${port}`, seen))).message
  }).pipe(Effect.scoped)

describe("the requests of a soak", () => {
  it.live("fail if an answer is an error, another relay, cut off, or a stream that ends", () =>
    Effect.gen(function*() {
      expect(yield* wrongWith((_, response) => void response.writeHead(500).end())).toContain("the status is 500")
      const ofRelays = (answer: RequestListener): RequestListener => (request, response) =>
        request.url!.startsWith("/v1/relays") ? answer(request, response) : void response.writeHead(200).flushHeaders()
      expect(yield* wrongWith(ofRelays((_, response) => void response.end("{\"id\":\"other\"}")))).toContain("other")
      const cutOff: RequestListener = (_, response) => {
        response.writeHead(200, { "content-length": 10 })
        response.write("{", () => response.destroy())
      }
      expect(yield* wrongWith(ofRelays(cutOff))).toContain("breaks off")
      const ended: RequestListener = (request, response) =>
        request.url!.endsWith("/stream") ? void response.end() : void response.writeHead(200).flushHeaders()
      expect(yield* wrongWith(ended)).toContain("a live stream has ended")
    }))

  it("fail if a stream skips or repeats a position, or has a problem", () => {
    const wrongIn = (...parts: ReadonlyArray<string>) => {
      let activities = 0
      const look = consecutive(() => void activities++)
      return [parts.map(look).find((wrong) => wrong !== undefined), activities]
    }
    const begin = "id: e:7\nretry: 2000\n\n"
    const of = (position: number) => `id: e:${position}\nevent: create_relay\ndata: {}\n\n`
    expect(wrongIn(begin, of(8), ":\n\n", of(9) + of(10))).toEqual([undefined, 3])
    expect(wrongIn(begin, "id: e:", "8\n", of(9))).toEqual([undefined, 2])
    expect(wrongIn(begin, of(8), of(10))).toEqual(["position 10 comes after 8", 1])
    expect(wrongIn(begin, of(8), of(8))).toEqual(["position 8 comes after 8", 1])
    expect(wrongIn(begin, "event: problem\ndata: {}\n\n")[0]).toContain("problem")
  })
})
