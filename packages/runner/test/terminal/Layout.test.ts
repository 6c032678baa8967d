import { expect, it } from "@effect/vitest"
import { oneLine, shortened, table } from "../../src/terminal/Layout.js"
import { makeStyle } from "../../src/terminal/Output.js"

it("a table may have more rows than a function may have arguments", () => {
  const rows = Array.from({ length: 200_000 }, (_, n) => [`r${n}`, "active"])
  const lines = table(["id", "status"], rows, { columns: 100, style: makeStyle(false) })
  expect(lines).toHaveLength(200_001)
  expect(lines[0]).toBe("id       status")
  expect(lines.at(-1)).toBe("r199999  active")
})

it("a text has no secret when it is shortened, nor a part of one", () => {
  expect(shortened("abc", 2)).toBe("ab…")
  expect(shortened(`postgres://u:${"x".repeat(100)}@h`, 60)).toBe("postgres://u:<redacted>@h")
  expect(shortened(`nsec1${"x".repeat(100)}`, 20)).toBe("<redacted>")
})

it("a text cannot reorder the rest of its line", () => {
  expect(oneLine("a\u202eb\u2066c\u2069\u200d\u00e9")).toBe("a b c \u200d\u00e9")
})
