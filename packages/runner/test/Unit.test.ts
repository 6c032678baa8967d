/** The unit of systemd. */
import { expect, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"

const analyze = (...args: ReadonlyArray<string>) => spawnSync("systemd-analyze", args, { encoding: "utf8" })

const unit = new URL("../systemd/caravel.service", import.meta.url).pathname
const version = Number(/systemd (\d+)/.exec(analyze("--version").stdout ?? "")?.[1] ?? 0)

it.skipIf(version === 0)("systemd accepts the unit", () => {
  const { status, stderr } = analyze("verify", unit)
  expect([status, stderr]).toEqual([0, ""])
})

// Older ones need a systemd that is running.
it.skipIf(version < 250)("systemd says that the unit exposes little", () => {
  expect(analyze("security", "--offline=true", unit).stdout).toMatch(/exposure level for caravel.service: [0-2]\.\d OK/)
})
