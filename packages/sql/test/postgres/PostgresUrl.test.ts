import { expect, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { read } from "../../src/postgres/PostgresUrl.js"

const connectionString = (query: string) =>
  Effect.map(
    read({ url: Redacted.make(`postgres://user@host/db${query}`) }),
    ({ connectionString }) => connectionString?.replace("postgres://user@host/db", "")
  )

it.effect("a certificate is verified for each sslmode that asks for TLS, and the driver does not warn", () =>
  Effect.gen(function*() {
    for (const mode of ["prefer", "require", "verify-ca", "verify-full"]) {
      expect(yield* connectionString(`?sslmode=${mode}`)).toBe("?sslmode=verify-full")
    }
    expect(yield* connectionString("?sslmode=disable")).toBe("?sslmode=disable")
    expect(yield* connectionString("?sslmode=no-verify")).toBe("?sslmode=no-verify")
    // Asked for by name, libpq's meaning is the driver's own affair.
    const compatible = "?uselibpqcompat=true&sslmode=require"
    expect(yield* connectionString(compatible)).toBe(compatible)
    expect(yield* connectionString("")).toBe("")
  }))
