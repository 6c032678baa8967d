import { expect, it } from "@effect/vitest"
import { oneLine, table } from "../../src/terminal/Layout.js"
import { makeStyle } from "../../src/terminal/Output.js"

it("a table may have more rows than a function may have arguments", () => {
  const rows = Array.from({ length: 200_000 }, (_, n) => [`r${n}`, "active"])
  const lines = table(["id", "status"], rows, { columns: 100, style: makeStyle(false) })
  expect(lines).toHaveLength(200_001)
  expect(lines[0]).toBe("id       status")
  expect(lines.at(-1)).toBe("r199999  active")
})

it("a text cannot reorder the rest of its line", () => {
  expect(oneLine("a\u202eb\u2066c\u2069\u200d\u00e9")).toBe("a b c \u200d\u00e9")
})
