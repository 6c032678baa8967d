/** What an editor shows of a method and of its payload: the language service reads the package's types, as an editor does. */
import { beforeAll, expect, it } from "@effect/vitest"
import ts from "typescript"

const folder = new URL("../", import.meta.url).pathname
const file = `${folder}hovered.ts`
const source = `
import { Command } from "@caravel/domain"
import { Effect } from "effect"
Effect.flatMap(Command, (command) => command.createRelay({ id: "main", tenant: "a", subdomain: "main", plan: "free" }))
Effect.flatMap(Command, (command) => command.updateRelay({ id: "main", infoName: null }))
Effect.flatMap(Command, (command) => command.failRelaySync({ id: "main" }, "no host"))
Effect.flatMap(Command, (command) => command.submit([{ _tag: "SetTenantSubscription", pubkey: "a", /**/ }]))
`

const { config } = ts.readConfigFile(`${folder}../../../tsconfig.base.json`, ts.sys.readFile)
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, folder)
const read = (path: string) => path === file ? source : ts.sys.readFile(path)
const service = ts.createLanguageService({
  ...ts.sys,
  getCompilationSettings: () => options,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  getScriptFileNames: () => [file],
  getScriptSnapshot: (path) => {
    const text = read(path)
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
  },
  getScriptVersion: () => "1",
  useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
  fileExists: (path) => path === file || ts.sys.fileExists(path),
  readFile: read
})

/** The text at the first occurrence of a word: its type, its documentation, and its parameters. */
const hover = (word: string) => {
  const info = service.getQuickInfoAtPosition(file, source.indexOf(word))
  return {
    type: ts.displayPartsToString(info?.displayParts),
    text: ts.displayPartsToString(info?.documentation),
    parameters: info?.tags?.map(({ text }) => ts.displayPartsToString(text))
  }
}

// Reading the types takes seconds, more on a busy machine.
beforeAll(() => void hover("createRelay"), 120_000)

const relayOptions = [
  ["plan", "a plan's slug, such as free, basic or growth", "free"],
  ["infoName", "the name in the relay's information document (NIP-11)"],
  ["infoIcon", "the icon's URL in the relay's information document (NIP-11)"],
  ["infoDescription", "the description in the relay's information document (NIP-11)"],
  ["policyPublicJoin", "whether anyone may join", "false"],
  ["policyStripSignatures", "whether signatures are stripped from events", "false"],
  ["groupsEnabled", "whether groups are enabled (NIP-29)", "false"],
  ["managementEnabled", "whether the management API is enabled (NIP-86)", "false"],
  ["blossomEnabled", "whether Blossom media storage is enabled", "false"],
  ["livekitEnabled", "whether LiveKit rooms are enabled", "false"],
  ["pushEnabled", "whether push notifications are enabled", "false"]
] as const

it("createRelay shows its sentence, its fields with their defaults, and its errors", () => {
  expect(hover("createRelay")).toEqual({
    type: "(property) Methods.createRelay: (relay: CreateRelayPayload) => Effect.Effect<Activity, TenantNotFound | " +
      "RelayAlreadyExists | SubdomainTaken | VersionConflict | IdempotencyConflict | StorageError | ParseError>",
    text: "Creates a relay. Its status is active, whatever is passed. Logs and broadcasts `create_relay`.",
    parameters: [
      "relay.id - a relay id of 1 to 64 letters, digits, _ and -",
      "relay.tenant - a public key of 64 lower-case hex characters",
      "relay.subdomain - a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end",
      ...relayOptions.map(([name, text, fallback]) =>
        `relay.${name} - ${text}${fallback === undefined ? "" : `; default: ${fallback}`}`
      )
    ]
  })
})

it("updateRelay shows its sentence, its fields and its errors", () => {
  expect(hover("updateRelay")).toEqual({
    type: "(property) Methods.updateRelay: (relay: UpdateRelayPayload) => Effect.Effect<Activity, RelayNotFound | " +
      "SubdomainTaken | VersionConflict | IdempotencyConflict | StorageError | ParseError>",
    text:
      "Updates a relay's configuration: absent fields keep their values, null restores a default. Logs and broadcasts\n" +
      "`update_relay`.",
    parameters: [
      "relay.id - a relay id of 1 to 64 letters, digits, _ and -",
      "relay.subdomain - a subdomain of 1 to 63 of a-z, 0-9 and -, without - at either end",
      ...relayOptions.map(([name, text]) => `relay.${name} - ${text}`)
    ]
  })
})

it("failRelaySync shows the names of both parameters", () => {
  expect(hover("failRelaySync")).toEqual({
    type: "(property) Methods.failRelaySync: (relay: {\n    readonly id: string;\n}, syncError: string) => " +
      "Effect.Effect<Activity, RelayNotFound | VersionConflict | IdempotencyConflict | StorageError | ParseError>",
    text: "Records why a relay could not be provisioned. Logs and broadcasts `fail_relay_sync`.",
    parameters: [
      "relay.id - a relay id of 1 to 64 letters, digits, _ and -",
      "syncError - why provisioning failed; empty when it did not"
    ]
  })
})

it("a field shows its description, in a method's argument and completes one of a submitted command", () => {
  expect(hover("plan:")).toMatchObject({
    type: "(property) CreateRelayPayload.plan?: string | null | undefined",
    text: "A plan's slug, such as free, basic or growth; default: free."
  })
  expect(hover("infoName:").text).toBe("The name in the relay's information document (NIP-11).")
  const position = source.indexOf("/**/")
  const name = "stripeSubscriptionId"
  const { documentation } = service.getCompletionEntryDetails(file, position, name, {}, undefined, {}, undefined) ?? {}
  expect(ts.displayPartsToString(documentation)).toBe("An id at Stripe.")
})
