/** The call to a relay host, and hosts that do not answer as they should. */
import { relay as relayModel } from "@caravel/testing"
import { RelayHost } from "@caravel/workers"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { asHosted } from "./world.js"

/** The outcome of a call to a host that answers so, or the error's reason. */
const put = (node: Server, init: RequestInit = {}) =>
  Effect.gen(function*() {
    const { port } = node.address() as AddressInfo
    const { put } = yield* Effect.provide(
      RelayHost.RelayHost,
      Layer.provide(RelayHost.layer(new URL(`http://127.0.0.1:${port}/base`)), [
        FetchHttpClient.layer,
        Layer.succeed(FetchHttpClient.RequestInit, init)
      ])
    )
    return yield* Effect.match(put(asHosted(relayModel({ id: "a" }))), {
      onFailure: ({ reason }) => reason,
      onSuccess: () => "accepted"
    })
  })

const answering = (answer: (request: IncomingMessage, response: ServerResponse) => void) =>
  Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const node = createServer((request, response) => {
        request.resume().on("end", () => answer(request, response))
      })
      node.listen(0, "127.0.0.1", () => resume(Effect.succeed(node)))
    }),
    (node) =>
      Effect.sync(() => {
        node.close()
        node.closeAllConnections()
      })
  )

describe("a relay host", () => {
  it.scopedLive.each([200, 201, 204])(
    "accepts a relay by status %d, with or without a body",
    (status) =>
      Effect.gen(function*() {
        const paths: Array<string | undefined> = []
        const node = yield* answering(({ method, url }, response) => {
          paths.push(`${method} ${url}`)
          response.writeHead(status).end(status === 204 ? undefined : "x".repeat(1_000_000))
        })
        expect([yield* put(node), yield* put(node)]).toEqual(["accepted", "accepted"])
        expect(paths).toEqual(["PUT /base/relays/a", "PUT /base/relays/a"])
      })
  )

  it.scopedLive("is called with the application's own options of fetch", () =>
    Effect.gen(function*() {
      const keys: Array<unknown> = []
      const node = yield* answering(({ headers }, response) => {
        keys.push(headers["x-key"])
        response.writeHead(204).end()
      })
      expect(yield* put(node, { headers: { "x-key": "5c4e" }, redirect: "follow" })).toBe("accepted")
      expect(keys).toEqual(["5c4e"])
    }))

  it.scopedLive.each([301, 302, 303, 307, 308])(
    "that redirects by status %d has not accepted it",
    (status) =>
      Effect.gen(function*() {
        const node = yield* answering(({ url }, response) => {
          if (url === "/login") response.end("welcome")
          else response.writeHead(status, { location: "/login" }).end()
        })
        expect(yield* put(node)).toBe(`it answered ${status}`)
      })
  )

  it.scopedLive("that answers with long errors keeps no connection open", () =>
    Effect.gen(function*() {
      const node = yield* answering((_, response) => response.writeHead(500).end("x".repeat(1_000_000)))
      for (let n = 0; n < 20; n++) expect(yield* put(node)).toBe("it answered 500")
      const open = Effect.async<number>((resume) => {
        node.getConnections((_, count) => resume(Effect.succeed(count)))
      })
      // Without that, they are open until the collector finds their answers.
      expect(yield* open).toBeLessThan(5)
    }))
})
