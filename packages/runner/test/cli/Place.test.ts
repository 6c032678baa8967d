import { Command } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo, Server } from "node:net"
import { join } from "node:path"
import { hosted, makeToken } from "../hosted.js"
import { start, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
const closing: Array<() => unknown> = []
// At once: each host waits a moment for clients that are connected.
afterAll(async () => {
  await Promise.all(closing.map((close) => close()))
  remove()
})

const tenant = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const other = "ab".repeat(32)
const wallet = "nostr+walletconnect://b0b5ecre7?secret=b0b5ecre7"
const now = Date.parse("2050-01-01T00:00:00Z")

const serve = async (...args: Parameters<typeof hosted>) => {
  const host = await hosted(...args)
  closing.push(host.close)
  return host
}

const listening = async (server: Server) => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

describe("what reads", () => {
  const filename = join(cwd, "reads.db")
  let url = ""

  beforeAll(async () => {
    await Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: tenant, nwcUrl: wallet }).pipe(Command.withMetadata({ actor: "alice" }))
      yield* command.createTenant({ pubkey: other })
      yield* command.createRelay({ id: "a", tenant, subdomain: "a", plan: "basic" })
      yield* command.updateRelay({ id: "a", plan: "growth" })
      yield* command.createRelay({ id: "b", tenant: other, subdomain: "b" })
      yield* command.failRelaySync({ id: "b" }, "no certificate")
      const handle = ({ resourceId }: { readonly resourceId: string }) =>
        resourceId === "b" ? Effect.fail(`no mail to ${wallet}`) : Effect.void
      yield* Consumer.handleOnce({
        name: "mail",
        from: "beginning",
        onFailure: "parkResource",
        retry: Schedule.stop,
        handle
      })
      const sql = yield* SqlClient
      yield* sql`UPDATE caravel_relay SET info_name = 'wrong' WHERE id = 'b'`
    }).pipe(Effect.provide(Sqlite.layer({ filename })), Effect.runPromise)
    url = (await serve(filename)).url
  }, 60_000)

  it("prints at a host what it prints of the database", async () => {
    const reads = [
      ["activity"],
      ["activity", "--since", "1", "--limit", "2", "--tenant", tenant],
      ["activity", "--since", "99"],
      ["tenant"],
      ["tenant", tenant],
      ["tenant", "00".repeat(32)],
      ["relay"],
      ["relay", "b"],
      ["relay", "missing"],
      ["relay", "--subdomain", "a"],
      ["relay", "--tenant", other],
      ["history", "relay", "a"],
      ["history", "tenant", tenant, "--newest-first", "--limit", "1"],
      ["history", "relay", "a", "--at", "3"],
      ["history", "relay", "a", "--at", "now"],
      ["history", "relay", "missing"],
      ["diff", "1", "now"],
      ["diff", "2020-01-01", "2", "tenant", other],
      ["diff", "1", "99"],
      ["usage", tenant, "--to", "2050-01-01"],
      ["epochs"],
      ["consumers"],
      ["consumers", "parked", "mail"],
      ["consumers", "parked", "nobody"],
      ["verify"]
    ]
    for (const args of reads) {
      for (const isTerminal of [false, true]) {
        const there = await program([...args, "--database", filename], { isTerminal, now })
        const here = await program([...args, "--server", url], { isTerminal, now })
        const of = ({ code, stderr, stdout }: typeof here) => ({ code, stderr, stdout })
        expect(of(here), args.join(" ")).toEqual(of(there))
        expect(here.stdout).not.toContain("b0b5ecre7")
      }
    }
    const written = await program(["activity", "--server", url])
    expect(written.json[0]).toMatchObject({ metadata: { actor: "alice" } })
    expect((await program(["verify", "--server", url])).json).toMatchObject([{ field: "infoName" }, { ok: false }])
  }, 60_000)

  it("says in one line why it cannot", async () => {
    const gone = createServer()
    const closed = await listening(gone)
    gone.close()
    const plain = await listening(createServer((_, response) => response.end("<html>")))
    const silent = await listening(createServer((request) => request.socket.destroy()))
    const failures = [
      [
        `http://127.0.0.1:${closed}`,
        `connect ECONNREFUSED 127.0.0.1:${closed} (the host cannot be reached; try again)`
      ],
      [`http://127.0.0.1:${silent}`, "(the host cannot be reached; try again)"],
      [`http://127.0.0.1:${plain}`, "check that the URL is that of a host"],
      [`${url}/elsewhere`, "check that the URL is that of a host"],
      [url.replace("http:", "https:"), "check whether the URL begins with http or https"]
    ] as const
    for (const [server, message] of failures) {
      // What may be temporary is tried for two seconds.
      const isTried = message.includes("try again")
      for (const args of isTried ? [["relay"]] : [["relay"], ["verify"], ["create-tenant", "--pubkey", other]]) {
        const { code, stderr, stdout } = await program([...args, "--server", server])
        expect({ code, stdout }, `${args} ${server}`).toEqual({ code: 1, stdout: "" })
        expect(stderr, `${args} ${server}`).toContain(message)
        expect(stderr.split("\n")).toHaveLength(1)
      }
    }
  }, 60_000)

  it("refuses a certificate that it does not trust, at once", async () => {
    const [key, cert] = [join(cwd, "key.pem"), join(cwd, "cert.pem")]
    execFileSync("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    ], { stdio: "ignore" })
    const secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) })
    const server = `https://127.0.0.1:${await listening(secure)}`
    expect(await program(["relay", "--server", server])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("the certificate is not trusted: NODE_EXTRA_CA_CERTS")
    })
  }, 60_000)

  it("follows what others write, and ends on Ctrl-C without a word", async () => {
    const { url } = await serve(join(cwd, "followed.db"))
    const child = start(["activity", "--follow", "--server", url], cwd)
    let [stdout, stderr] = ["", ""]
    child.stderr.on("data", (bytes) => stderr += String(bytes))
    child.stdout.on("data", (bytes) => stdout += String(bytes))
    const closed = new Promise((resolve) => child.on("close", resolve))
    const lines = (count: number) =>
      new Promise<void>((resolve) => {
        const look = () => stdout.split("\n").length > count && resolve()
        child.stdout.on("data", look)
        look()
      })
    for (const [n, pubkey] of [tenant, other].entries()) {
      await program(["create-tenant", "--pubkey", pubkey, "--server", url])
      await lines(n + 1)
    }
    child.kill("SIGINT")
    expect([await closed, stderr]).toEqual([130, ""])
    expect(stdout.trim().split("\n").map((line) => JSON.parse(line).resourceId)).toEqual([tenant, other])
  }, 60_000)
})

describe("what writes", () => {
  it("writes at the host, with what it is sent with, and is refused as by the database", async () => {
    const { url } = await serve(join(cwd, "writes.db"))
    const at = (...args: ReadonlyArray<string>) => program([...args, "--server", url])
    const create = ["create-tenant", "--pubkey", tenant, "--idempotency-key", "k\u00fc", "--actor", "\u00e4"]
    const first = await at(...create)
    expect(first.json).toMatchObject([{ position: 1, activityType: "create_tenant" }])
    expect((await at(...create)).stdout).toBe(first.stdout)
    expect(await at("create-tenant", "--pubkey", tenant)).toMatchObject({
      code: 1,
      stderr: `caravel: Tenant ${tenant} already exists; use caravel update-tenant to change it`
    })
    expect((await at("set-tenant-past-due", "--pubkey", tenant, "--expected-version", "5")).stderr).toContain(
      "is at version 1, not at version 5"
    )
    expect((await at("create-relay", "--id", "a", "--tenant", tenant, "--subdomain", "-")).stderr).toMatch(
      /^caravel: --subdomain: Expected/
    )
    expect(await at("create-tenant", "--pubkey", other, "--create")).toMatchObject({
      code: 1,
      stderr: "caravel: --create is for a database; the host has its own"
    })
    const lines = [
      { _tag: "CreateRelay", id: "a", tenant, subdomain: "a" },
      { _tag: "CreateRelay", id: "a", tenant, subdomain: "a" },
      { _tag: "SetTenantPastDue", pubkey: tenant, metadata: { correlationId: "c" } }
    ]
    writeFileSync(join(cwd, "lines.jsonl"), lines.map((line) => JSON.stringify(line)).join("\n"))
    const ran = await at("run", join(cwd, "lines.jsonl"), "--actor", "billing")
    expect(ran).toMatchObject({ code: 1, stderr: "" })
    expect(ran.stdout.split("\n").map((line) => JSON.parse(line))).toMatchObject([
      { line: 1, activity: { position: 2 } },
      { line: 2, error: { _tag: "RelayAlreadyExists" } },
      { line: 3, ok: true }
    ])
    expect((await at("activity")).json.map(({ metadata }) => metadata)).toEqual([{ actor: "\u00e4" }, {
      actor: "billing"
    }])
  }, 60_000)

  it("moves, relieves and replays consumers", async () => {
    const filename = join(cwd, "consumers.db")
    const parking = Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey: tenant })
      yield* command.createTenant({ pubkey: other })
      yield* Consumer.handleOnce({
        name: "mail",
        from: "beginning",
        onFailure: "park",
        retry: Schedule.stop,
        handle: () => Effect.fail("no")
      })
    })
    await Effect.runPromise(Effect.provide(parking, Sqlite.layer({ filename })))
    const { url } = await serve(filename)
    const consumers = (...args: ReadonlyArray<string>) => program(["consumers", ...args, "--server", url])
    expect((await consumers("replay", "mail")).stderr).toContain("No program runs mail")
    expect((await consumers("drop", "mail", "--position", "7")).stderr).toContain("nothing parked at position 7")
    expect((await consumers("drop", "mail", "--position", "1")).json).toEqual([{ name: "mail", dropped: 1 }])
    expect((await consumers("drop", "mail", "--yes")).json).toEqual([{ name: "mail", dropped: 1 }])
    expect((await consumers("reset", "mail", "--to", "9", "--yes")).stderr).toContain("There is no position 9 yet")
    expect((await consumers("reset", "mail", "--to", "1", "--yes")).json).toEqual([{ name: "mail", position: 1 }])
    expect((await consumers()).json).toMatchObject([{ name: "mail", position: 1, parked: 0 }])
    expect((await consumers("reset", "nobody", "--to", "1")).stderr).toContain("no consumer \"nobody\"")
  }, 60_000)
})

describe("credentials", () => {
  it("come from a file or the environment, and say what they may not do", async () => {
    const filename = join(cwd, "credentials.db")
    const [admin, reader, owner] = [
      await makeToken({ name: "ops", role: "admin" }),
      await makeToken({ name: "reader", role: "readOnly" }),
      await makeToken({ name: "alice", role: "tenant", tenant: tenant as never })
    ]
    const { url } = await serve(filename, { credentials: { tokens: [admin, reader, owner].map(({ entry }) => entry) } })
    const file = join(cwd, "token")
    writeFileSync(file, `${admin.token}\n`)
    const at = ["--server", url]
    const create = ["create-tenant", "--pubkey", tenant, "--nwc-url", wallet]
    expect(await program([...create, ...at, "--token-file", file])).toMatchObject({ code: 0 })
    const env = { CARAVEL_SERVER: url, CARAVEL_TOKEN_FILE: file }
    expect((await program(["activity"], { env })).json).toMatchObject([{ metadata: { actor: "ops" } }])
    // Without the grant to read wallet URLs.
    expect((await program(["tenant", tenant], { env })).json).toMatchObject([{ nwcUrl: "<redacted>" }])
    // The place may stand before the words.
    expect((await program([...at, "--token-file", file, "tenant"])).json).toHaveLength(1)
    const own = { CARAVEL_SERVER: url, CARAVEL_TOKEN: owner.token }
    expect((await program(["activity"], { env: own })).json).toMatchObject([{ tenant, metadata: {} }])
    expect((await program(["verify"], { env: own })).stderr).toContain("with the role tenant may not use verify")
    const failures = [
      [["relay"], { CARAVEL_SERVER: url }, "The request has no credential: give --token-file or CARAVEL_TOKEN"],
      [["relay"], { CARAVEL_SERVER: url, CARAVEL_TOKEN: "caravel_x" }, "The token is unknown"],
      [
        create,
        { CARAVEL_SERVER: url, CARAVEL_TOKEN: reader.token },
        "with the role readOnly may not use caravel create-tenant"
      ],
      [["activity", "--actor", "ops"], own, "with the role tenant may not"],
      [["relay", "--token-file", join(cwd, "none")], env, "cannot be read: there is no such file"],
      [["relay", "--token-file", filename], env, "does not contain a token"],
      [["relay", "--token-file", file], {}, "--token-file is for a host; give --server as well"]
    ] as const
    for (const [args, env, message] of failures) {
      const { code, stderr, stdout } = await program(args, { env })
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain(message)
      expect(stderr.split("\n")).toHaveLength(1)
      expect(stderr).not.toContain(admin.token)
    }
    const away = { CARAVEL_SERVER: "http://0.0.0.0:9", CARAVEL_TOKEN: reader.token }
    expect((await program(["relay"], { env: away })).stderr).toMatch(
      /is sent to http:\/\/0.0.0.0:9\/ unencrypted/
    )
  }, 60_000)
})

describe("the place", () => {
  it("is one: a host or a database, an option before the environment", async () => {
    // The default database is in there. You may have one, as after npm start.
    const defaults = () => existsSync("data") ? readdirSync("data") : undefined
    const before = defaults()
    const { url } = await serve(join(cwd, "place.db"))
    const database = join(cwd, "here.db")
    await program(["create-tenant", "--pubkey", tenant, "--create", "--database", database])
    const both = { CARAVEL_SERVER: url, CARAVEL_DATABASE: database }
    expect((await program(["tenant", "--database", database], { env: both })).json).toHaveLength(1)
    expect((await program(["tenant", "--server", url], { env: both })).json).toHaveLength(0)
    const refusals = [
      [["tenant", "--server", url, "--database", database], {}, "--server and --database name two places"],
      [["tenant"], both, "CARAVEL_SERVER and CARAVEL_DATABASE are both set"],
      [["tenant", "--server", "caravel.example"], {}, "--server is not the URL of a host"],
      [["tenant", "--server", "http://u:hush@127.0.0.1"], {}, "--server contains a password"],
      [["tenant"], { CARAVEL_SERVER: "ftp://x" }, "CARAVEL_SERVER is not the URL of a host"],
      [["tenant", "--server", url, "--schema", "s"], {}, "--schema is for a database"],
      [["rebuild", "--server", url], {}, "caravel rebuild needs the database itself, not a host: give --database"],
      [["init", `--server=${url}`], {}, "caravel init needs the database itself"],
      [["--server", url, "backup", "x.db"], {}, "caravel backup needs the database itself"],
      [["rebuild"], { CARAVEL_SERVER: url }, "CARAVEL_SERVER names a host, but this command needs the database"]
    ] as const
    for (const [args, env, message] of refusals) {
      const { code, stderr, stdout } = await program(args, { env })
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain(message)
      expect(stderr).not.toContain("hush")
    }
    expect((await program(["rebuild"], { env: both })).code).toBe(0)
    expect(defaults()).toEqual(before)
  }, 60_000)
})
