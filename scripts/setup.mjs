// Installs the workspace with the pnpm that package.json names, on a machine that may have npm only.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

const { packageManager } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
const { status } = spawnSync(
  "npx",
  ["--yes", packageManager, "install", "--frozen-lockfile", "--reporter=append-only", "--loglevel=warn"],
  { cwd: new URL("..", import.meta.url), stdio: ["ignore", "inherit", "inherit"], shell: process.platform === "win32" }
)
process.exit(status ?? 1)
