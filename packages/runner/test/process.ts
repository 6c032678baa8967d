/** The program as a process, from its sources. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { bundle } from "../../../scripts/bundle.mjs"

const bin = bundle(new URL("../src/bin.ts", import.meta.url))

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** The lines of standard output as JSON. */
  readonly json: ReadonlyArray<any>
}

export const start = (args: ReadonlyArray<string>, cwd: string, env: Record<string, string> = {}) =>
  spawn(process.execPath, [bin, ...args], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: "", ...env }
  })

export const caravel = (
  cwd: string,
  args: ReadonlyArray<string>,
  options: { readonly input?: string; readonly env?: Record<string, string> } = {}
): Promise<Result> =>
  new Promise((resolve) => {
    const child = start(args, cwd, options.env)
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.stdin.on("error", () => {})
    child.stdin.end(options.input ?? "")
    child.on("close", (code) =>
      resolve({
        code,
        stdout,
        stderr,
        get json() {
          return stdout.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
        }
      }))
  })

/** A temporary directory, and its removal. */
export const temporary = () => {
  const path = mkdtempSync(join(tmpdir(), "caravel-runner-"))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
