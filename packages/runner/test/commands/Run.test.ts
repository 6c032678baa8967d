import { afterAll, describe, expect, it } from "@effect/vitest"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { buffer } from "node:stream/consumers"
import { hosted } from "../hosted.js"
import { caravel, start, temporary } from "../process.js"
import { program } from "../program.js"

const { path: cwd, remove } = temporary()
afterAll(remove)

const pubkey = "82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2"
const tenant = JSON.stringify({ _tag: "CreateTenant", pubkey })
const relay = (id: string) => JSON.stringify({ _tag: "CreateRelay", id, tenant: pubkey, subdomain: id })

describe("run", () => {
  it("that is interrupted at any moment does not end the process with an error of a file", async () => {
    const database = join(cwd, "interrupted.db")
    await program(["init", "--database", database])
    for (let turns = 0; turns < 100; turns++) {
      const interruption = new AbortController()
      // This file can be opened, but not read.
      const running = program(["run", "/proc/self/mem", "--database", database], interruption)
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      interruption.abort()
      await running.catch(() => {})
    }
    // An error without a listener is thrown after the files have been opened.
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
  }, 60_000)

  it("answers each line of a file in order, continues after failures, and exits with 1", async () => {
    const secret = "b0b5ecre7"
    const nwcUrl = `nostr+walletconnect://x?secret=${secret}`
    writeFileSync(
      join(cwd, "mixed.jsonl"),
      [
        `{"_tag":"CreateTenant","pubkey":"${pubkey}","nwcUrl":"${nwcUrl}"}`,
        "",
        `nonsense ${nwcUrl}`,
        `{"_tag":"UpdateTenant","pubkey":"${pubkey}","nwcUrl":"${nwcUrl}",}`,
        `{"_tag":"UpdateTenant","pubkey":"${nwcUrl}"}`,
        `{"_tag":"UpdateTenant","pubkey":"${pubkey}","nwcUrl":"${secret}"}`,
        `{"_tag":"CreateTennant"}`,
        relay("a"),
        relay("a"),
        `{"_tag":"SetTenantPastDue","pubkey":"${pubkey}"}\r`,
        `{"_tag":"CreateRelay","id":"b","tenant":"${pubkey}","subdomain":"-"}`
      ].join("\n")
    )
    const result = await caravel(cwd, ["run", "mixed.jsonl", "--database", "mixed.db", "--create"])
    expect(result).toMatchObject({ code: 1, stderr: "" })
    expect(result.stdout).not.toContain(secret)
    expect(result.json).toMatchObject([
      { line: 1, activity: { position: 1, activityType: "create_tenant" } },
      { line: 3, error: { _tag: "MalformedLine", message: "The line is not valid JSON" } },
      { line: 4, error: { _tag: "MalformedLine", message: expect.stringMatching(/at column \d+$/) } },
      { line: 5, error: { _tag: "ParseError", message: expect.stringMatching(/^pubkey: Expected a public key/) } },
      { line: 6, error: { _tag: "ParseError", message: expect.stringMatching(/^nwcUrl: Expected a URL/) } },
      {
        line: 7,
        error: {
          _tag: "MalformedLine",
          message: expect.stringMatching(/got "CreateTennant"; did you mean CreateTenant\?$/)
        }
      },
      { line: 8, activity: { activityType: "create_relay", resourceId: "a" } },
      { line: 9, error: { _tag: "RelayAlreadyExists", id: "a" } },
      { line: 10, ok: true },
      { line: 11, error: { _tag: "ParseError", message: expect.stringMatching(/^subdomain: /) } }
    ])
  }, 60_000)

  it("refuses a line with an unknown key, whose effect would be lost", async () => {
    const refused = [
      [{ _tag: "UpdateRelay", id: "a", plann: "basic" }, "UpdateRelay has no field \"plann\"; did you mean plan?"],
      [
        { _tag: "ActivateRelay", id: "a", idempotencykey: "k" },
        "ActivateRelay has no field \"idempotencykey\"; did you mean idempotencyKey?"
      ],
      [{ _tag: "ActivateRelay", id: "a", plan: "basic" }, "ActivateRelay has no field \"plan\""],
      [{ _tag: "ActivateRelay", id: "a", constructor: 1 }, "ActivateRelay has no field \"constructor\""],
      [{ _tag: "ActivateRelay", id: "a", ["x".repeat(10_000)]: 1 }, `ActivateRelay has no field "${"x".repeat(60)}…"`],
      [
        { _tag: "ActivateRelay", id: "a", [`postgres://u:${"x".repeat(100)}@h`]: 1 },
        "ActivateRelay has no field \"postgres://u:<redacted>@h\""
      ],
      [
        { _tag: `postgres://u:${"x".repeat(100)}@h` },
        "Expected an object whose _tag names a command, such as CreateTenant, got \"postgres://u:<redacted>@h\""
      ]
    ] as const
    const input = [tenant, relay("a"), ...refused.map(([line]) => JSON.stringify(line))].join("\n")
    const { code, json } = await caravel(cwd, ["run", "--create", "--database", "unknown.db"], { input })
    expect(code).toBe(1)
    expect(json.slice(2)).toEqual(
      refused.map(([, message], n) => ({ line: n + 3, error: { _tag: "MalformedLine", message } }))
    )
  }, 60_000)

  it("sends a line with what it says beside its command", async () => {
    const line = (rest: object) => JSON.stringify({ _tag: "ActivateRelay", id: "a", ...rest })
    const input = [
      tenant,
      relay("a"),
      line({ idempotencyKey: "k", expectedVersion: 1, metadata: { correlationId: "c" } }),
      line({ idempotencyKey: "k", expectedVersion: 1 }),
      line({ expectedVersion: 1, metadata: { actor: "line" } }),
      line({ idempotencyKey: "k" }),
      line({ idempotencyKey: 5 }),
      line({ expectedVersion: null }),
      line({ metadata: { actr: "a" } })
    ].join("\n")
    const args = ["--actor", "billing", "--database", "sent.db", "--create"]
    const { json } = await caravel(cwd, ["run", ...args], { input })
    expect(json.slice(2)).toMatchObject([
      { line: 3, activity: { position: 3 } },
      { line: 4, activity: { position: 3 } },
      { line: 5, error: { _tag: "VersionConflict", expected: 1, actual: 2 } },
      { line: 6, error: { _tag: "IdempotencyConflict", key: "k" } },
      { line: 7, error: { _tag: "ParseError", message: expect.stringContaining("an idempotency key") } },
      { line: 8, error: { _tag: "ParseError", message: expect.stringContaining("a version") } },
      { line: 9, error: { _tag: "ParseError", message: expect.stringContaining("actr") } }
    ])
    const activities = await caravel(cwd, ["activity", "--database", "sent.db"])
    expect(activities.json.map(({ metadata }) => metadata)).toEqual([
      { actor: "billing" },
      { actor: "billing" },
      { actor: "billing", correlationId: "c" }
    ])
  }, 60_000)

  it("reads standard input, with and without -, and exits with 0 when all is well", async () => {
    const input = `${tenant}\n${relay("a")}`
    for (const args of [["run"], ["run", "-"]]) {
      const result = await caravel(cwd, [...args, "--database", `stdin-${args.length}.db`, "--create"], { input })
      expect(result).toMatchObject({ code: 0, stderr: "" })
      expect(result.json).toMatchObject([{ line: 1 }, { line: 2, activity: { resourceId: "a" } }])
    }
  }, 60_000)

  it("refuses a line that is not UTF-8, and reads one with a byte order mark", async () => {
    const line = (name: string) =>
      JSON.stringify({ _tag: "CreateRelay", id: name, tenant: pubkey, subdomain: name, infoName: "é" })
    const input = Buffer.concat([
      Buffer.from(`\uFEFF${tenant}\r\n`),
      Buffer.from(`${line("latin")}\n`, "latin1"),
      Buffer.from(`${line("utf")}\n`),
      Buffer.from("é".repeat(600_000)),
      Buffer.from(`\n${line("last")}`)
    ])
    writeFileSync(join(cwd, "encoded.jsonl"), input)
    const { json } = await caravel(cwd, ["run", "encoded.jsonl", "--database", "encoded.db", "--create"])
    expect(json).toMatchObject([
      { line: 1, activity: { position: 1 } },
      { line: 2, error: { _tag: "MalformedLine", message: "The line is not UTF-8" } },
      { line: 3, activity: { resourceId: "utf" } },
      { line: 4, error: { _tag: "MalformedLine", message: "The line is not valid JSON" } },
      { line: 5, activity: { resourceId: "last" } }
    ])
  }, 60_000)

  it("creates no database for a file that cannot be read", async () => {
    for (const [file, reason] of [["none.jsonl", "there is no such file"], [cwd, "it is a directory"]]) {
      expect(await caravel(cwd, ["run", file!, "--database", "unmade.db", "--create"])).toMatchObject({
        code: 1,
        stderr: `caravel: ${file} cannot be read: ${reason}\n`
      })
      expect(existsSync(join(cwd, "unmade.db"))).toBe(false)
    }
  }, 60_000)

  it("refuses a line that is too long without keeping it", async () => {
    const input = `${"x".repeat(3_000_000)}\n${tenant}\n`
    const { code, json } = await caravel(cwd, ["run", "--database", "long.db", "--create"], { input })
    expect(code).toBe(1)
    expect(json).toMatchObject([{ line: 1, error: { _tag: "MalformedLine" } }, { line: 2, activity: {} }])
  }, 60_000)

  it("fails when its output is not read any more: what is left is not executed", async () => {
    const child = start(["run", "--database", "head.db", "--create"], cwd)
    let stderr = ""
    child.stderr.on("data", (bytes) => stderr += String(bytes))
    child.stdin.on("error", () => {})
    child.stdin.write(`${tenant}\n`)
    child.stdout.once("data", () => {
      child.stdout.destroy()
      child.stdin.end(Array.from({ length: 2_000 }, (_, i) => relay(`r${i}`)).join("\n"))
    })
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1)
    expect(stderr).toBe("caravel: Standard output was closed before the command had ended\n")
    expect((await caravel(cwd, ["relay", "--database", "head.db"])).json.length).toBeLessThan(2_000)
  }, 60_000)

  it("executes in order what it commits together", async () => {
    // Each relay takes the subdomain that the line before it gave up.
    const moves = Array.from({ length: 1_000 }, (_, index) => [
      JSON.stringify({ _tag: "UpdateRelay", id: "r0", subdomain: `s${index + 1}` }),
      JSON.stringify({ _tag: "CreateRelay", id: `r${index + 1}`, tenant: pubkey, subdomain: `s${index}` })
    ])
    const first = JSON.stringify({ _tag: "CreateRelay", id: "r0", tenant: pubkey, subdomain: "s0" })
    writeFileSync(join(cwd, "ordered.jsonl"), [tenant, first, ...moves.flat()].join("\n"))
    const { code, stderr, stdout } = await caravel(cwd, [
      "run",
      "ordered.jsonl",
      "--database",
      "ordered.db",
      "--create"
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const answers = stdout.trim().split("\n").map((line) => JSON.parse(line))
    expect(answers.map(({ activity, line }) => [line, activity.position])).toEqual(
      Array.from({ length: 2_002 }, (_, index) => [index + 1, index + 1])
    )
  }, 60_000)

  it("executes in order at a host behind a proxy that takes longer for some commands", async () => {
    const host = await hosted(join(cwd, "hosted.db"))
    let count = 0
    // Commands that are sent together overtake every second one, which makes a detour of ten requests.
    const proxy = createServer((request, response) =>
      void (async () => {
        const { headers, method = "", url = "" } = request
        const body = await buffer(request)
        const isSlow = method === "POST" && count++ % 2 === 0
        for (let detour = 0; isSlow && detour < 10; detour++) await (await fetch(`${host.url}/openapi.json`)).text()
        const answer = await fetch(`${host.url}${url}`, {
          method,
          headers: {
            "content-type": headers["content-type"] ?? "",
            "idempotency-key": String(headers["idempotency-key"] ?? "")
          },
          ...(method === "POST" ? { body } : {})
        })
        response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" })
        response.end(await answer.text())
      })().catch(() => response.destroy())
    )
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const ids = Array.from({ length: 10 }, (_, index) => `r${index}`)
    const lines = [tenant, ...ids.flatMap((id) => [relay(id), JSON.stringify({ _tag: "DeactivateRelay", id })])]
    writeFileSync(join(cwd, "hosted.jsonl"), lines.join("\n"))
    try {
      const { code, stderr, stdout } = await program(["run", join(cwd, "hosted.jsonl"), "--server", url])
      expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" })
      expect(stdout.split("\n").map((line) => JSON.parse(line))).toMatchObject(
        lines.map((_, index) => ({ line: index + 1, activity: { position: index + 1 } }))
      )
    } finally {
      proxy.close().closeAllConnections()
      await host.close()
    }
  }, 60_000)

  it("answers what it has executed when it is interrupted", async () => {
    writeFileSync(
      join(cwd, "long.jsonl"),
      `${tenant}\n${relay("a")}\n${`{"_tag":"ActivateRelay","id":"a"}\n`.repeat(50_000)}`
    )
    for (let round = 0; round < 5; round++) {
      const database = `interrupted-${round}.db`
      const child = start(["run", "long.jsonl", "--database", database, "--create"], cwd)
      let stdout = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text
        if (stdout.length > 100_000 * round && !child.killed) child.kill("SIGINT")
      })
      expect(await new Promise((resolve) => child.on("close", resolve))).toBe(130)
      const answers = stdout.trim().split("\n").map((line) => JSON.parse(line))
      const { json: [last] } = await caravel(cwd, ["activity", "--last", "1", "--database", database])
      expect(answers.at(-1)).toMatchObject({ line: answers.length, activity: { position: last.position } })
    }
  }, 60_000)

  it("keeps its memory while it answers 20,000 lines", async () => {
    const lots = `{"_tag":"ActivateRelay","id":"a"}\n{"_tag":"ActivateRelay"}\n`
    writeFileSync(join(cwd, "many.jsonl"), `${tenant}\n${relay("a")}\n${lots.repeat(10_000)}`)
    const child = start(["run", "many.jsonl", "--database", "many.db", "--create"], cwd)
    let lines = 0
    const memory: Array<number> = []
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1]) / 1024
    child.stdout.on("data", (bytes: Buffer) => {
      const before = lines
      lines += bytes.reduce((count, byte) => byte === 10 ? count + 1 : count, 0)
      for (const mark of [5_000, 19_000]) if (before < mark && lines >= mark) memory.push(rss())
    })
    expect(await new Promise((resolve) => child.on("close", resolve))).toBe(1)
    expect(lines).toBe(20_002)
    expect(memory[1]! - memory[0]!).toBeLessThan(80)
  }, 120_000)
})
