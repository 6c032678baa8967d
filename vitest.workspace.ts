import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import process from "node:process"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

// CI systems set the variable of a secret that they do not have to "".
if (process.env["CARAVEL_TEST_POSTGRES_URL"] === "") delete process.env["CARAVEL_TEST_POSTGRES_URL"]

const conditions = ["@caravel/source"]

/** Imports between packages resolve to sources, so no build comes before a test. */
export const sources = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } }
}

// Vitest leaves one core to itself; most of these tests wait for processes, servers and disks.
const workers = Math.max(3, Math.ceil(availableParallelism() * 1.5))

/** The tests of the simulation, which replaces the timers of its thread. */
const simulated = "packages/faults/test/simulation/**/*.test.ts"

/** Files that run a conformance suite are small and take longest: they start first, then the largest files. */
class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const sorted = await super.sort(files)
    const runsSuites = ({ moduleId }: TestSpecification) =>
      readFileSync(moduleId, "utf8").includes("\"@caravel/conformance\"")
    return [...sorted.filter(runsSuites), ...sorted.filter((file) => !runsSuites(file))]
  }
}

/**
 * The root's vitest configuration. Files share the processes of the workers, since importing Effect and compiling it takes as long as most of
 * them. So metrics and caches outlive a file. With fewer workers at the start than at most, vitest 3.2 would end some of them early.
 */
export default defineConfig({
  test: {
    poolOptions: { forks: { isolate: false } },
    minWorkers: workers,
    maxWorkers: workers,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        ...sources,
        test: {
          name: "caravel",
          include: ["{packages,examples}/*/test/**/*.test.ts"],
          exclude: [simulated],
          globalSetup: "scripts/bundle.mjs",
          testTimeout: 30_000
        }
      },
      // What other files leave in a process would run under the timers of the simulation.
      { ...sources, test: { name: "simulation", include: [simulated], pool: "threads", testTimeout: 120_000 } }
    ]
  }
})
