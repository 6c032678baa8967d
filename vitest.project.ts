import { defineProject } from "vitest/config"

const conditions = ["@caravel/source"]

/** A package's vitest project: imports between packages resolve to sources, so no build comes before a test. */
export const project = (name: string) =>
  defineProject({
    resolve: { conditions },
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: { name, include: ["test/**/*.test.ts"], testTimeout: 30_000 }
  })
