import { Credentials } from "@caravel/http"
import { Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Redacted } from "effect"
import { createServer } from "node:http"
import * as App from "../src/App.js"

const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

it.scopedLive("its own routes and Caravel's are on one port, in front of one database", () =>
  Effect.gen(function*() {
    const { hash, token } = yield* Credentials.makeToken
    const tokens: Credentials.Credentials["tokens"] = [{ name: "operator", role: "admin", hash, grants: [] }]
    const context = yield* Layer.build(
      App.layer({ tokens }).pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
        Layer.provide([Sqlite.layerTemporary, Logger.minimumLogLevel(LogLevel.Error)])
      )
    )
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
    const sent = (path: string, init: RequestInit = {}) =>
      Effect.promise(async () => {
        const response = await fetch(`${url}${path}`, init)
        return [response.status, await response.text()] as const
      })
    const signUp = (subdomain: string) =>
      sent("/sign-up", { method: "POST", body: new URLSearchParams({ pubkey, subdomain }) })

    expect(yield* sent("/")).toEqual([200, "Relays for everyone. There are 0.\n"])
    expect(yield* signUp("alice")).toEqual([201, "wss://alice.relays.example is yours\n"])
    expect(yield* signUp("alice")).toEqual([409, expect.stringContaining("urn:caravel:problem:tenant-already-exists")])
    expect(yield* signUp("")).toEqual([400, expect.stringContaining("urn:caravel:problem:invalid-request")])
    expect(yield* sent("/sign-up", { method: "POST", body: "{" })).toEqual([400, expect.stringContaining("Expected")])
    expect(yield* sent("/")).toEqual([200, "Relays for everyone. There are 1.\n"])

    const authorization = `Bearer ${Redacted.value(token)}`
    expect((yield* sent("/v1/relays"))[0]).toBe(401)
    expect(yield* sent("/v1/relays", { headers: { authorization } })).toEqual([200, expect.stringContaining("alice")])
    expect(yield* sent("/nowhere")).toEqual([404, expect.stringContaining("urn:caravel:problem:route-not-found")])
  }))
