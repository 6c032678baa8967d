/** What is stored and shown of a handler whose HTTP request fails. */
import { Command } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Consumer } from "@caravel/pubsub"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { answering } from "./fixtures/answering.js"

it.scopedLive("a handler's error has neither the headers, the query nor the body of its request", () =>
  Effect.gen(function*() {
    const url = yield* answering((_, response) => response.writeHead(503, { "x-own": "s3cret" }).end("s3cret"))
    const charge = HttpClientRequest.post(`${url}/charges`).pipe(
      HttpClientRequest.setHeader("x-stripe-key", "s3cret"),
      HttpClientRequest.setUrlParam("key", "s3cret"),
      HttpClientRequest.bodyUnsafeJson({ card: "s3cret" })
    )
    const failures: Record<string, Effect.Effect<unknown, Error, HttpClient.HttpClient>> = {
      client: Effect.flatMap(HttpClient.HttpClient, (client) => HttpClient.filterStatusOk(client).execute(charge)),
      unreachable: HttpClient.get(`http://user:s3cret@127.0.0.1:1/?key=s3cret`),
      axios: Effect.fail(Object.assign(new Error("Request failed with status code 503"), {
        config: { headers: { key: "s3cret" }, method: "post", url: `${url}/charges?key=s3cret`, data: "s3cret" },
        response: { headers: {}, status: 503, data: { card: "s3cret" } }
      }))
    }
    yield* (yield* Command).createTenant({ pubkey: "ab".repeat(32) })
    for (const [name, handle] of Object.entries(failures)) {
      yield* Effect.exit(Consumer.handleOnce({ name, from: "beginning", handle: () => handle }))
      const { lastError } = yield* Consumer.lag(name)
      expect(lastError).not.toContain("s3cret")
      expect(lastError!.length).toBeLessThan(500)
      if (name !== "unreachable") expect(lastError).toMatch(/503.*post.*\/charges/i)
    }
  }).pipe(Effect.provide([Memory.layer, FetchHttpClient.layer])))
