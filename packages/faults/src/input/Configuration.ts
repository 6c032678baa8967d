/** Input from operators: the settings of a host, as options, environment variables and a file. */
import { Effect, FastCheck as fc } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import * as Entrance from "./Entrance.js"
import * as Program from "./Program.js"
import { edited, garbled, jsonValues, texts } from "./Values.js"

const valid = fc.record({
  credentials: fc.constant("credentials.json"),
  database: fc.constantFrom("a.db", "file:a.db?mode=rwc", "postgres://me@127.0.0.1:5432/a"),
  schema: fc.constantFrom("caravel"),
  host: fc.constantFrom("127.0.0.1", "::1"),
  port: fc.constantFrom(0, 8080),
  origins: fc.constantFrom([], ["https://admin.example"]),
  rateLimit: fc.integer({ min: 1, max: 10 }),
  maxBody: fc.integer({ min: 1, max: 10 }),
  maxConnections: fc.integer({ min: 1, max: 10 }),
  maxLag: fc.integer({ min: 1, max: 10 }),
  requestTimeout: fc.constantFrom(0.5, 60),
  drainTimeout: fc.constantFrom(1, 10),
  with: fc.constantFrom([], ["provisioner"]),
  relayHost: fc.constant("http://127.0.0.1:9"),
  log: fc.constantFrom("json", "logfmt", "pretty"),
  otlp: fc.constant("http://127.0.0.1:4318")
}, { requiredKeys: ["credentials", "relayHost"] })

const token = { name: "me", role: "reader", hash: "a".repeat(64), grants: [], expiresAt: "2030-01-01T00:00:00Z" }

const nostr = { url: "https://caravel.example", tenants: true, admins: [{ pubkey: "a".repeat(64), grants: [] }] }

const credentials = edited(
  fc.constantFrom({}, { tokens: [token] }, { tokens: [token], nostr }),
  jsonValues
).map((credentials) => Buffer.from(JSON.stringify(credentials) ?? ""))

interface Input {
  readonly credentials: Buffer
  readonly file: Buffer
  readonly options: ReadonlyArray<readonly [name: string, value: string]>
  readonly variables: ReadonlyArray<readonly [name: string, value: string]>
}

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const textOf = (value: unknown) => Array.isArray(value) ? value.join(",") : String(value)

/** Settings as texts, some of which are hostile. */
const asTexts = fc.tuple(
  valid,
  fc.array(
    fc.tuple(fc.constantFrom("port", "host", "origins", "log", "database", "maxBody", "requestTimeout", "with"), texts),
    { maxLength: 1 }
  )
)
  .map((
    [settings, hostile]
  ) => [...Object.entries(settings).map(([name, value]) => [name, textOf(value)] as const), ...hostile])

const settings = edited(valid, jsonValues).map((settings) => Buffer.from(JSON.stringify(settings) ?? ""))

const inputs: fc.Arbitrary<Input> = fc.record({
  credentials: fc.oneof(
    { weight: 3, arbitrary: fc.constant(Buffer.from("{}")) },
    { weight: 1, arbitrary: credentials },
    { weight: 1, arbitrary: garbled(credentials) }
  ),
  file: fc.oneof({ weight: 2, arbitrary: settings }, { weight: 1, arbitrary: garbled(settings) }),
  options: fc.oneof(fc.constant([]), asTexts),
  variables: fc.oneof(fc.constant([]), asTexts)
})

const variableOf = (name: string) => `CARAVEL_${kebab(name).replaceAll("-", "_").toUpperCase()}`

const open = (directory: string) => {
  const path = join(directory, "caravel.json")
  const here = (text: string) => text.replaceAll("credentials.json", join(directory, "credentials.json"))
  return Effect.succeed({
    inputs,
    answer: ({ credentials, file, options, variables }: Input): Effect.Effect<Entrance.Answer> =>
      Effect.gen(function*() {
        yield* Effect.promise(() => fs.writeFile(path, here(file.toString("latin1")), "latin1"))
        yield* Effect.promise(() => fs.writeFile(join(directory, "credentials.json"), credentials))
        const args = options.map(([name, value]) => here(`--${kebab(name)}=${value.replaceAll("\0", "")}`))
        const given = Object.fromEntries(
          variables.map(([name, value]) => [variableOf(name), here(value.replaceAll("\0", ""))])
        )
        const { ok, stderr, stdout, wrong } = yield* Program.run(
          ["serve", "--check", `--config=${path}`, ...args],
          { variables: given }
        )
        if (wrong !== undefined) return { wrong }
        // What decides is shown with where it was found.
        const missing = ok && options.find(([name]) => !stdout.some((line) => line.startsWith(`${kebab(name)} = `)))
        if (missing !== false && missing !== undefined) {
          return { wrong: `${missing[0]} is missing in:\n${stdout.join("\n")}` }
        }
        return ok ? 1 : stderr === "" ? { wrong: "it is refused without a reason" } : 0
      })
  })
}

/** Settings of a host, which are only checked. */
export const configuration: Entrance.Entrance = Entrance.make({
  name: "settings",
  counts: { short: 200, long: 20_000 },
  open
})
