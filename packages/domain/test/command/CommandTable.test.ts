import { ActivityType, commands, type CommandTag, events } from "@caravel/domain"
import { activityTypeOf, commandTable, isImport, resourceTypeOf } from "@caravel/domain/adapter"
import { expect, it } from "@effect/vitest"
import { Record as Rec, String as Str } from "effect"
import { readFileSync } from "node:fs"

/** The table of `model.md`, copied literally. */
const model = `
| \`create_tenant\` | \`createTenant(tenant)\` | \`TenantCreated\` | \`create_tenant\` | tenant |
| \`update_tenant\` | \`updateTenant(tenant)\` | \`TenantUpdated\` | \`update_tenant\` | tenant |
| \`create_relay\` | \`createRelay(relay)\` | \`RelayCreated\` | \`create_relay\` | relay |
| \`update_relay\` | \`updateRelay(relay)\` | \`RelayUpdated\` | \`update_relay\` | relay |
| \`deactivate_relay\` | \`deactivateRelay(relay)\` | \`RelayDeactivated\` | \`deactivate_relay\` | relay |
| \`mark_relay_delinquent\` | \`markRelayDelinquent(relay)\` | \`RelayMarkedDelinquent\` | \`deactivate_relay\` (sic) | relay |
| \`activate_relay\` | \`activateRelay(relay)\` | \`RelayActivated\` | \`activate_relay\` | relay |
| \`fail_relay_sync\` | \`failRelaySync(relay, syncError)\` | \`RelaySyncFailed\` | \`fail_relay_sync\` | relay |
| \`complete_relay_sync\` | \`completeRelaySync(relayId)\` | \`RelaySyncCompleted\` | \`complete_relay_sync\` | relay |
| \`delete_relay_subscription_item\` | \`deleteRelaySubscriptionItem(relayId)\` | \`RelaySubscriptionItemDeleted\` | none | relay |
| \`set_relay_subscription_item\` | \`setRelaySubscriptionItem(relayId, stripeSubscriptionItemId)\` | \`RelaySubscriptionItemSet\` | none | relay |
| \`set_tenant_subscription\` | \`setTenantSubscription(pubkey, stripeSubscriptionId)\` | \`TenantSubscriptionSet\` | none | tenant |
| \`clear_tenant_subscription\` | \`clearTenantSubscription(pubkey)\` | \`TenantSubscriptionCleared\` | none | tenant |
| \`set_tenant_nwc_error\` | \`setTenantNwcError(pubkey, error)\` | \`TenantNwcErrorSet\` | none | tenant |
| \`clear_tenant_nwc_error\` | \`clearTenantNwcError(pubkey)\` | \`TenantNwcErrorCleared\` | none | tenant |
| \`set_tenant_past_due\` | \`setTenantPastDue(pubkey)\` | \`TenantPastDueSet\` | none | tenant |
| \`clear_tenant_past_due\` | \`clearTenantPastDue(pubkey)\` | \`TenantPastDueCleared\` | none | tenant |
`

/** The fields whose parameters have other names in `model.md`. */
const fieldOf: { readonly [parameter: string]: string } = { relayId: "id", error: "nwcError" }

const rows = model.trim().split("\n").map((line) => {
  const [, command = "", method = "", event = "", activity = "", resource = ""] = line.split("|").map((cell) =>
    cell.replaceAll("`", "").replace("(sic)", "").trim()
  )
  const [, name = "", parameters = ""] = /^(\w+)\((.*)\)$/.exec(method) ?? []
  return {
    command,
    tag: Str.capitalize(name),
    row: {
      resource,
      event,
      activity: activity === "none" ? null : activity,
      parameters: parameters.split(", ").map((parameter) => fieldOf[parameter] ?? parameter)
    }
  }
})

it("the command table equals that of model.md, in the same order", () => {
  expect(Object.entries(commandTable)).toEqual(rows.map(({ row, tag }) => [tag, row]))
  expect(rows.length).toBe(17)
})

it("docs/composing.md lists every command", () => {
  const page = readFileSync(new URL("../../../../docs/composing.md", import.meta.url), "utf8")
  const cells = [...page.matchAll(/^\| `(\w+)` \| `\w+\(.*?\)` \| (?:`(\w+)` )?\|$/gm)]
  expect(cells.map(([, tag, activity]) => [tag, activity ?? null])).toEqual(
    rows.map(({ row, tag }) => [tag, row.activity])
  )
})

it("methods are named after the commands of command.md", () => {
  expect(rows.map(({ tag }) => Str.camelToSnake(Str.uncapitalize(tag)))).toEqual(
    rows.map(({ command }) => command)
  )
})

it("every command and every event has a schema under its tag", () => {
  expect(Object.keys(commands).sort()).toEqual(rows.map(({ tag }) => tag).sort())
  const imports = ["TenantImported", "TenantReconciled", "RelayImported", "RelayReconciled"] as const
  expect(Object.keys(events).sort()).toEqual([...rows.map(({ row }) => row.event), ...imports].sort())
  expect(Rec.keys(events).filter(isImport)).toEqual(imports)
  for (const tag of imports) expect(events[tag].fields.resourceType.literals).toEqual([resourceTypeOf(tag)])
  for (const { row, tag } of rows) {
    expect(commands[tag as CommandTag]._tag).toBe(tag)
    expect(events[row.event as keyof typeof events].fields._tag.ast).toMatchObject({ type: { literal: row.event } })
    expect(events[row.event as keyof typeof events].fields.resourceType.literals).toEqual([row.resource])
  }
})

it("nine events are activities, of eight types", () => {
  const types = rows.map(({ row }) => activityTypeOf(row.event as keyof typeof events))
  expect(types).toEqual(rows.map(({ row }) => row.activity))
  const logged = types.filter((type) => type !== null)
  expect(logged.length).toBe(9)
  expect(new Set(logged)).toEqual(new Set(ActivityType.literals))
  expect(activityTypeOf("unknown" as keyof typeof events)).toBe(null)
  expect(activityTypeOf("TenantImported")).toBe("create_tenant")
  expect(activityTypeOf("RelayImported")).toBe("create_relay")
  expect(activityTypeOf("TenantReconciled")).toBe(null)
  expect(activityTypeOf("RelayReconciled")).toBe(null)
})
