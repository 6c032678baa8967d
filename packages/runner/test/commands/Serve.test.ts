/** `caravel serve` as a process on a real file. */
import { afterEach, beforeEach, expect, it } from "@effect/vitest"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { getToken } from "nostr-tools/nip98"
import { finalizeEvent, generateSecretKey, getPublicKey } from "nostr-tools/pure"
import { caravel, start, temporary } from "../process.js"

let directory: ReturnType<typeof temporary>
beforeEach(() => {
  directory = temporary()
})
afterEach(() => directory.remove())

const pubkey = "ab".repeat(32)

/** Waits until a host has said something on standard error, or has ended. */
const told = (child: ChildProcess, said: { text: string }, text: string) =>
  new Promise<void>((resolve) => {
    const look = () => {
      if (said.text.includes(text)) resolve()
    }
    look()
    child.stderr!.on("data", look)
    child.on("exit", () => resolve())
  })

/** Starts a host, and waits until it says where it listens. */
const serve = async (...args: ReadonlyArray<string>) => {
  const child = start(["serve", "--database", "db", "--port", "0", ...args], directory.path)
  const said = { text: "" }
  child.stderr.setEncoding("utf8").on("data", (text: string) => said.text += text)
  await told(child, said, args.includes("--credentials") ? "/docs" : "administrator")
  const url = /http:\/\/[\d.:]+/.exec(said.text)?.[0]
  return { child, said, stderr: said.text, url: url ?? "" }
}

const ended = async (child: ChildProcess, signal: NodeJS.Signals) => {
  const exit = once(child, "exit")
  child.kill(signal)
  return (await exit)[0] as number | null
}

it("serves a database until SIGTERM or Ctrl-C, and exits with 0", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const { child, stderr, url } = await serve("--create")
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(stderr).toContain("only this machine is served")
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: "ready" })
    const answer = await fetch(`${url}/v1/commands/create-tenant`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ pubkey })
    })
    expect(answer.status).toBe(signal === "SIGTERM" ? 200 : 409)
    expect(await ended(child, signal)).toBe(0)
  }
  const { json } = await caravel(directory.path, ["tenant", pubkey, "--database", "db"])
  expect(json).toMatchObject([{ pubkey, version: 1 }])
}, 60_000)

it("refuses a database that does not exist, and a port that is taken", async () => {
  const missing = await caravel(directory.path, ["serve", "--database", "none"])
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("caravel init")])
  const { child, url } = await serve("--create")
  const taken = await caravel(directory.path, ["serve", "--database", "db", "--port", new URL(url).port])
  expect([taken.code, taken.stderr]).toEqual([
    1,
    expect.stringMatching(/^caravel: The host cannot listen on 127.0.0.1, port \d+: another program listens there/)
  ])
  expect(await ended(child, "SIGTERM")).toBe(0)
}, 60_000)

/** Makes a token, and writes the file that accepts it. */
const credentialed = async (nostr?: object) => {
  const { json: [made] } = await caravel(directory.path, ["token", "--role", "worker", "--name", "billing"])
  const write = (credentials: object) => writeFileSync(join(directory.path, "credentials"), JSON.stringify(credentials))
  write({ tokens: [made.credential], nostr })
  return { ...made, write } as { readonly token: string; readonly credential: object; readonly write: typeof write }
}

it("serves those with a token, until it is no longer in the file", async () => {
  const { credential, token, write } = await credentialed()
  expect(credential).toEqual({ name: "billing", role: "worker", hash: expect.stringMatching(/^[0-9a-f]{64}$/) })
  const { child, said, stderr, url } = await serve("--create", "--host", "0.0.0.0", "--credentials", "credentials")
  expect(stderr).not.toContain("administrator")
  const status = async (headers: Record<string, string>) =>
    (await fetch(`${url.replace("0.0.0.0", "127.0.0.1")}/v1/relays`, { headers })).status
  const authorized = { authorization: `Bearer ${token}` }
  expect([await status({}), await status({ authorization: "Bearer x" }), await status(authorized)]).toEqual([
    401,
    401,
    200
  ])

  write({ tokens: [{ name: "" }], other: 1 })
  child.kill("SIGHUP")
  await told(child, said, "stay as they were")
  expect(said.text).toMatch(/^.*stay as they were.*"logLevel":"WARN"/m)
  expect(await status(authorized)).toBe(200)
  write({ tokens: [] })
  child.kill("SIGHUP")
  await told(child, said, "are in force")
  expect(said.text).toMatch(/^.*are in force.*"logLevel":"INFO"/m)
  expect(await status(authorized)).toBe(401)
  expect(await ended(child, "SIGTERM")).toBe(0)
}, 60_000)

it("stays when it is told to read credentials that it does not have; all that it says is in its log", async () => {
  const { child, said, url } = await serve("--create")
  child.kill("SIGHUP")
  await told(child, said, "none are configured")
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  // The database is no longer the one that the host has opened.
  const files = { database: join(directory.path, "db"), copy: join(directory.path, "copy") }
  await caravel(directory.path, ["backup", "--database", files.database, files.copy])
  await caravel(directory.path, ["restore", "--force", "--database", files.database, files.copy])
  await told(child, said, "Broadcasting has ended")
  expect(await ended(child, "SIGTERM")).toBe(0)
  const lines = said.text.trim().split("\n").map((line) => JSON.parse(line))
  expect(lines.map(({ message }) => String(message))).toEqual(
    expect.arrayContaining([expect.stringContaining("Listening on"), expect.stringContaining("Broadcasting has ended")])
  )
}, 60_000)

it("executes a signed request once, whichever host of the database it is sent to", async () => {
  const key = generateSecretKey()
  const url = "https://caravel.example"
  await credentialed({ url, admins: [{ pubkey: getPublicKey(key) }] })
  const one = await serve("--create", "--credentials", "credentials")
  const other = await serve("--credentials", "credentials")
  const path = "/v1/commands/create-tenant"
  const body = { pubkey }
  const authorization = await getToken(`${url}${path}`, "POST", (event) => finalizeEvent(event, key), true, body)
  const sent = (host: string) =>
    fetch(`${host}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization },
      body: JSON.stringify(body)
    })
  expect((await sent(one.url)).status).toBe(200)
  for (const host of [other, one]) {
    const answer = await sent(host.url)
    expect([answer.status, await answer.json()]).toEqual([401, expect.objectContaining({ reason: "replayed" })])
  }
  for (const { child } of [one, other]) expect(await ended(child, "SIGTERM")).toBe(0)
}, 60_000)

it(
  "without credentials listens on this machine only, and says everything that is wrong with a file of them",
  async () => {
    const open = await caravel(directory.path, ["serve", "--create", "--database", "db", "--host", "0.0.0.0"])
    expect([open.code, open.stderr]).toEqual([1, expect.stringContaining("give --credentials to listen on 0.0.0.0")])
    const { credential, write } = await credentialed()
    write({ tokens: [{ ...credential, role: "tenant" }, { name: "a", role: "boss", hash: "5c4e" }], token: [] })
    const wrong = await caravel(directory.path, ["serve", "--create", "--database", "db"], {
      env: { CARAVEL_CREDENTIALS: "credentials" }
    })
    expect(wrong.code).toBe(1)
    for (const part of ["The role tenant, and no other, has a tenant", "role", "hash", "token"]) {
      expect(wrong.stderr).toContain(part)
    }
  },
  60_000
)

it("makes a token only with the tenant that its role needs", async () => {
  for (const args of [["--role", "tenant"], ["--role", "admin", "--tenant", pubkey]]) {
    const refused = await caravel(directory.path, ["token", "--name", "a", ...args])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--tenant belongs to --role tenant")])
  }
  const { json } = await caravel(directory.path, [
    "token",
    "--name",
    "a",
    "--role",
    "tenant",
    "--tenant",
    pubkey,
    "--secrets"
  ])
  expect(json).toMatchObject([{ credential: { tenant: pubkey, grants: ["secrets"] } }])
}, 60_000)

it("finds settings in options, then the environment, then a file, and says where", async () => {
  writeFileSync(
    join(directory.path, "caravel.json"),
    // Some editors write a byte order mark.
    "\ufeff" + JSON.stringify({
      port: 8001,
      maxBody: 1000,
      rateLimit: 60,
      credentials: "credentials",
      origins: ["https://a.example"]
    })
  )
  await credentialed()
  const env = { CARAVEL_PORT: "8002", CARAVEL_MAX_BODY: "2000", CARAVEL_DATABASE: "postgres://u:5c4e@h/db" }
  const args = ["serve", "--check", "--config", "caravel.json", "--port", "8003"]
  const { code, stderr, stdout } = await caravel(directory.path, args, { env })
  expect([code, stderr]).toEqual([0, "The settings are valid\n"])
  expect(stdout.split("\n")).toEqual([
    "database = the database (CARAVEL_DATABASE)",
    "port = 8003 (--port)",
    "credentials = credentials (credentials in caravel.json)",
    "origins = https://a.example (origins in caravel.json)",
    "rate-limit = 60 (rateLimit in caravel.json)",
    "max-body = 2000 (CARAVEL_MAX_BODY)",
    ""
  ])
  const service = { CARAVEL_PORT: "tcp://10.43.0.1:8080" }
  expect(await caravel(directory.path, ["serve", "--check"], { env: service })).toMatchObject({ code: 0, stdout: "" })
  const database = { CARAVEL_DATABASE: "tcp://10.43.0.1:8080" }
  expect(await caravel(directory.path, ["serve", "--check"], { env: database })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("CARAVEL_DATABASE: ")
  })
}, 60_000)

it("reports settings that cannot be shown", async () => {
  const origins = [{ constructor: { name: { toString: 1, valueOf: 1 } } }]
  writeFileSync(join(directory.path, "caravel.json"), JSON.stringify({ origins, constructor: 1 }))
  const { code, stderr } = await caravel(directory.path, ["serve", "--check", "--config", "caravel.json"])
  expect([code, stderr.split("\n")]).toEqual([1, [
    "caravel: constructor in caravel.json: There is no such setting",
    "caravel: origins in caravel.json: Expected another value than this one, which cannot be shown",
    ""
  ]])
}, 60_000)

it("reports everything that is wrong with the settings and the credentials at once", async () => {
  writeFileSync(
    join(directory.path, "caravel.json"),
    JSON.stringify({ prot: 1, maxBody: "x", credentials: "credentials", origins: ["https://a.example/"] })
  )
  writeFileSync(join(directory.path, "credentials"), JSON.stringify({ tokens: [{ name: "" }] }))
  const env = { CARAVEL_PORT: "80000", OTEL_EXPORTER_OTLP_ENDPOINT: "collector", CARAVEL_DATABASE: "ftp://x" }
  const { code, stderr, stdout } = await caravel(
    directory.path,
    ["serve", "--config", "caravel.json", "--log", "xml", "--max-lag", "-1"],
    { env }
  )
  expect([code, stdout]).toEqual([1, ""])
  for (
    const message of [
      "prot in caravel.json: There is no such setting",
      "maxBody in caravel.json: Expected an integer of at least 1",
      "origins in caravel.json: Expected an origin",
      "CARAVEL_DATABASE: ",
      "CARAVEL_PORT: Expected a port from 0 to 65535, got 80000",
      "OTEL_EXPORTER_OTLP_ENDPOINT: Expected an http or https URL",
      "--log: Expected json, logfmt or pretty",
      "--max-lag: Expected an integer of at least 1, got -1",
      "credentials: "
    ]
  ) expect(stderr).toContain(`caravel: ${message}`)
  const conflicting = await caravel(directory.path, ["serve", "--check", "--host", "0.0.0.0", "--rate-limit", "5"])
  expect(conflicting.stderr.split("\n")).toHaveLength(3)
  // A schema in the environment is for commands on PostgreSQL.
  const schema = { CARAVEL_SCHEMA: "relays" }
  expect((await caravel(directory.path, ["serve", "--check"], { env: schema })).code).toBe(0)
  const onFile = await caravel(directory.path, ["serve", "--check", "--schema", "relays"], { env: schema })
  expect([onFile.code, onFile.stderr]).toEqual([1, expect.stringContaining("A schema is for PostgreSQL")])
  const missing = await caravel(directory.path, ["serve", "--check"], { env: { CARAVEL_CONFIG: "none" } })
  expect([missing.code, missing.stderr]).toEqual([
    1,
    expect.stringMatching(/^caravel: The settings in none cannot be read: there is no such file/)
  ])
}, 60_000)

it("logs each request as a line of JSON, and sends its trace to a collector, without secrets", async () => {
  const received: Array<string> = []
  let bodies = ""
  const collector = createServer((request, response) => {
    received.push(request.url ?? "")
    request.setEncoding("utf8").on("data", (text: string) => bodies += text).on("end", () => response.end("{}"))
  }).listen(0, "127.0.0.1")
  await once(collector, "listening")
  const { port } = collector.address() as AddressInfo
  const { child, said, url } = await serve("--create", "--otlp", `http://127.0.0.1:${port}`)
  const paths = ["/v1/relays", "/v1/tenants", "/v1/relays/nostr+walletconnect:b0b5ecre7"]
  const requests = await Promise.all(paths.map((path) => fetch(url + path)))
  expect(requests.map(({ status }) => status)).toEqual([200, 200, 400])
  expect(await ended(child, "SIGTERM")).toBe(0)
  const lines = said.text.trim().split("\n").map((line) => JSON.parse(line)).filter(({ annotations }) =>
    "traceId" in annotations
  )
  expect(lines.map(({ message }) => message).sort()).toEqual([
    "GET /v1/relays 200",
    "GET /v1/relays/<redacted> 400",
    "GET /v1/tenants 200"
  ])
  // Each request without a traceparent is a trace of its own.
  expect(new Set(lines.map(({ annotations }) => annotations.traceId)).size).toBe(3)
  expect(new Set(received)).toEqual(new Set(["/v1/traces", "/v1/metrics", "/v1/logs"]))
  expect(bodies).toContain("GET /v1/relays/<redacted> 400")
  expect(bodies).not.toContain("b0b5ecre7")
  collector.close()
}, 60_000)

it("runs the provisioner beside the API, which needs to know the machines that serve relays", async () => {
  let received: (put: { readonly url: string | undefined; readonly body: any }) => void = () => {}
  const put = new Promise<Parameters<typeof received>[0]>((resolve) => received = resolve)
  const machines = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (text: string) => body += text).on("end", () => {
      received({ url: request.url, body: JSON.parse(body) })
      response.writeHead(204).end()
    })
  }).listen(0, "127.0.0.1")
  await once(machines, "listening")
  const missing = await caravel(directory.path, ["serve", "--check", "--with", "provisioner"])
  expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("give --relay-host")])
  const unused = await caravel(directory.path, ["serve", "--check", "--relay-host", "http://127.0.0.1:9"])
  expect([unused.code, unused.stderr]).toEqual([1, expect.stringContaining("give --with provisioner")])
  for (
    const wrong of [
      "http://127.0.0.1:9?key=1",
      "http://127.0.0.1:9/#a",
      "http://127.0.0.1:9/?",
      "http://user:word@127.0.0.1:9"
    ]
  ) {
    const refused = await caravel(directory.path, ["serve", "--with", "provisioner", "--relay-host", wrong])
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining("without a user, a query or a fragment")
    ])
    expect(refused.stderr).not.toContain("word")
  }
  const relayHost = `http://127.0.0.1:${(machines.address() as AddressInfo).port}`
  const { child, url } = await serve("--create", "--with", "provisioner", "--relay-host", relayHost)
  const post = (name: string, body: object) =>
    fetch(`${url}/v1/commands/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body)
    })
  await post("create-tenant", { pubkey })
  await post("create-relay", { id: "a", tenant: pubkey, subdomain: "a" })
  expect(await put).toMatchObject({ url: "/relays/a", body: { id: "a", subdomain: "a", version: 1 } })
  // The report is an activity of the relay.
  const stream = await fetch(`${url}/v1/activity/stream?since=0`, { headers: { accept: "application/x-ndjson" } })
  let lines = ""
  for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) {
    lines += chunk
    if (lines.includes("complete_relay_sync")) break
  }
  expect(await ended(child, "SIGTERM")).toBe(0)
  machines.close()
}, 60_000)
