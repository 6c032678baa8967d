import { defineConfig } from "vitest/config"

/** The root's vitest configuration: one project a package, all reading the sources of the others. */
export default defineConfig({
  test: {
    projects: ["packages/*/vitest.config.ts"]
  }
})
