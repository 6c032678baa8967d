/** `caravel serve` as a process on a real file. */
import { afterEach, beforeEach, expect, it } from "@effect/vitest"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { caravel, start, temporary } from "../process.js"

let directory: ReturnType<typeof temporary>
beforeEach(() => {
  directory = temporary()
})
afterEach(() => directory.remove())

const pubkey = "ab".repeat(32)

/** Starts a host, and waits until it says where it listens. */
const serve = async (...args: ReadonlyArray<string>) => {
  const child = start(["serve", "--database", "db", "--port", "0", ...args], directory.path)
  let stderr = ""
  child.stderr.setEncoding("utf8")
  for await (const text of child.stderr) {
    stderr += text
    if (stderr.includes("administrator")) break
  }
  const url = /http:\/\/[\d.:]+/.exec(stderr)?.[0]
  return { child, stderr, url: url ?? "" }
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
  expect([taken.code, taken.stderr]).toEqual([1, expect.stringMatching(/^caravel: listen EADDRINUSE/)])
  expect(await ended(child, "SIGTERM")).toBe(0)
}, 60_000)
