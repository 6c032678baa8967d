import { Credentials, Server, SingleUse } from "@caravel/http"
import { Memory } from "@caravel/memory"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Redacted } from "effect"
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { connect, createRelay, relays } from "../src/Client.js"

const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"

/** A host in this process, and a token that it accepts. */
const host = Effect.gen(function*() {
  const { hash, token } = yield* Credentials.makeToken
  const tokens: Credentials.Credentials["tokens"] = [{ name: "operator", role: "admin", hash, grants: [] }]
  const server = Server.layerWithCredentials({ credentials: Effect.succeed({ tokens }) }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => Server.endAbandoned(createServer()), { host: "127.0.0.1", port: 0 })),
    Layer.provide([Memory.layer, SingleUse.layerMemory, Logger.minimumLogLevel(LogLevel.Error)])
  )
  const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), yield* Layer.build(server))
  return { url, token: Redacted.value(token) }
})

/** Runs the script, and returns its exit code and its lines. */
const script = (args: ReadonlyArray<string>, env: Record<string, string>) =>
  Effect.async<{ readonly code: unknown; readonly lines: ReadonlyArray<any> }>((resume) => {
    const path = fileURLToPath(new URL("../sign-up.sh", import.meta.url))
    execFile(path, args, { env: { ...process.env, ...env } }, (error, stdout) =>
      resume(Effect.succeed({
        code: error?.code ?? 0,
        lines: stdout.trim().split("\n").map((line) => JSON.parse(line))
      })))
  })

it.scopedLive("the script signs a tenant up once, and fails with the problem if it is refused", () =>
  Effect.gen(function*() {
    const { token, url } = yield* host
    const env = { CARAVEL_SERVER: url, CARAVEL_TOKEN: token }
    const expected = {
      code: 0,
      lines: [[{ activityType: "create_tenant" }, { activityType: "create_relay" }], { id: "alice", plan: "basic" }]
    }
    const first = yield* script([pubkey, "alice"], env)
    expect(first).toMatchObject(expected)
    expect(yield* script([pubkey, "alice"], env)).toEqual(first)
    const other = pubkey.replace("82", "83")
    const taken = { type: "urn:caravel:problem:relay-already-exists" }
    expect(yield* script([other, "alice"], env)).toMatchObject({ code: 22, lines: [taken] })
    const unauthorized = { type: "urn:caravel:problem:unauthorized" }
    expect(yield* script([other, "bob"], { CARAVEL_SERVER: url })).toMatchObject({ code: 22, lines: [unauthorized] })
  }))

it.scopedLive("the generated client creates relays, and lists them page by page", () =>
  Effect.gen(function*() {
    const { token, url } = yield* host
    const client = connect(url, token)
    yield* Effect.promise(async () => {
      await client.POST("/v1/commands/create-tenant", { body: { pubkey } })
      const relay = { id: "a", tenant: pubkey, subdomain: "a" }
      expect(await createRelay(client, relay, "key")).toMatchObject({ ...relay, status: "active" })
      expect(await createRelay(client, relay, "key")).toMatchObject(relay)
      expect(await createRelay(client, { ...relay, id: "b" }, "other key")).toBeUndefined()
      await expect(createRelay(client, { ...relay, tenant: "x" }, "third key")).rejects.toThrow("tenant")
      const many = Array.from({ length: 120 }, (_, n) => `r${String(n).padStart(3, "0")}`)
      for (const id of many) await createRelay(client, { id, tenant: pubkey, subdomain: id }, id)
      const found: Array<string> = []
      for await (const id of relays(client, "active")) found.push(id)
      expect(found).toEqual(["a", ...many])
    })
  }))
