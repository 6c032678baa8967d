import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

/** The root's vitest configuration: one project a package, all reading the sources of the others. */
export default defineConfig({
  test: {
    // Vitest leaves one core to itself; most of these tests wait for processes, servers and disks.
    minWorkers: 1,
    maxWorkers: Math.max(3, Math.ceil(availableParallelism() * 1.5)),
    projects: ["{packages,examples}/*/vitest.config.ts"]
  }
})
