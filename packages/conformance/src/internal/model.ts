/**
 * The reference model: `command.md` and `model.md` as plain objects, written independently of `decide` and `evolve`.
 * Commands change it in place, so lists are applied to a copy.
 */
import type { CommandTag } from "@caravel/domain"
import { DateTime, Struct } from "effect"
import { optionDefaults, type Plain, relayDefaults, tenantDefaults } from "./fixture.js"

/** A command in plain values, with its tag. */
export interface PlainCommand {
  readonly _tag: CommandTag
  readonly [field: string]: unknown
}

/** Commands that succeed or fail together: one that is called by its method, or a list that is submitted. */
export interface Call {
  readonly commands: ReadonlyArray<PlainCommand>
  /** The expected version of the first command's resource. */
  readonly expected: number | undefined
}

export interface Model {
  readonly tenants: Map<string, Plain>
  readonly relays: Map<string, Plain>
}

/** The result of an accepted command, or the tag of its refusal. */
export type Outcome =
  | { readonly refused: string }
  | {
    readonly event: string
    readonly activity: string | null
    readonly resourceId: string
    readonly tenant: string
    readonly row: Plain
  }

export const emptyModel = (): Model => ({ tenants: new Map(), relays: new Map() })

const copy = ({ relays, tenants }: Model): Model => ({
  tenants: new Map([...tenants].map(([key, row]) => [key, { ...row }])),
  relays: new Map([...relays].map(([key, row]) => [key, { ...row }]))
})

const configurable = Struct.keys(optionDefaults)

const taken = ({ relays }: Model, subdomain: unknown, but: unknown) =>
  [...relays.values()].some((relay) => relay.subdomain === subdomain && relay.id !== but)

const createTenant = (model: Model, command: Plain, now: string): Outcome => {
  const { nwcUrl, pubkey, stripeCustomerId } = command
  if (model.tenants.has(pubkey)) return { refused: "TenantAlreadyExists" }
  const row = {
    ...tenantDefaults,
    pubkey,
    nwcUrl: nwcUrl ?? null,
    stripeCustomerId: stripeCustomerId ?? null,
    createdAt: now,
    version: 1
  }
  model.tenants.set(pubkey, row)
  return { event: "TenantCreated", activity: "create_tenant", resourceId: pubkey, tenant: pubkey, row }
}

const createRelay = (model: Model, command: Plain, now: string): Outcome => {
  const { id, subdomain, tenant } = command
  if (!model.tenants.has(tenant)) return { refused: "TenantNotFound" }
  if (model.relays.has(id)) return { refused: "RelayAlreadyExists" }
  if (taken(model, subdomain, id)) return { refused: "SubdomainTaken" }
  const row: Plain = { ...relayDefaults, id, tenant, subdomain, createdAt: now, version: 1 }
  for (const name of configurable) row[name] = command[name] ?? relayDefaults[name]
  model.relays.set(id, row)
  return { event: "RelayCreated", activity: "create_relay", resourceId: id, tenant, row }
}

const onTenant =
  (event: string, activity: string | null, change: (row: Plain, command: Plain, now: string) => void) =>
  (model: Model, command: Plain, now: string): Outcome => {
    const row = model.tenants.get(command.pubkey)
    if (row === undefined) return { refused: "TenantNotFound" }
    change(row, command, now)
    row.version += 1
    return { event, activity, resourceId: row.pubkey, tenant: row.pubkey, row }
  }

const onRelay =
  (event: string, activity: string | null, change: (row: Plain, command: Plain) => void) =>
  (model: Model, command: Plain): Outcome => {
    const row = model.relays.get(command.id)
    if (row === undefined) return { refused: "RelayNotFound" }
    if (event === "RelayUpdated" && command.subdomain !== undefined && taken(model, command.subdomain, row.id)) {
      return { refused: "SubdomainTaken" }
    }
    change(row, command)
    row.version += 1
    return { event, activity, resourceId: row.id, tenant: row.tenant, row }
  }

type Rule = (model: Model, command: Plain, now: string) => Outcome

const rules: { readonly [Tag in CommandTag]: Rule } = {
  CreateTenant: createTenant,
  UpdateTenant: onTenant("TenantUpdated", "update_tenant", (row, { nwcUrl, stripeCustomerId }) => {
    if (nwcUrl !== undefined) row.nwcUrl = nwcUrl
    if (stripeCustomerId !== undefined) row.stripeCustomerId = stripeCustomerId
  }),
  CreateRelay: createRelay,
  UpdateRelay: onRelay("RelayUpdated", "update_relay", (row, command) => {
    if (command.subdomain !== undefined) row.subdomain = command.subdomain
    for (const name of configurable) {
      if (command[name] !== undefined) row[name] = command[name] === null ? relayDefaults[name] : command[name]
    }
  }),
  DeactivateRelay: onRelay("RelayDeactivated", "deactivate_relay", (row) => row.status = "inactive"),
  MarkRelayDelinquent: onRelay("RelayMarkedDelinquent", "deactivate_relay", (row) => row.status = "delinquent"),
  ActivateRelay: onRelay("RelayActivated", "activate_relay", (row) => row.status = "active"),
  FailRelaySync: onRelay(
    "RelaySyncFailed",
    "fail_relay_sync",
    (row, { syncError }) => row.syncError = storable(syncError)
  ),
  CompleteRelaySync: onRelay("RelaySyncCompleted", "complete_relay_sync", (row) => {
    row.synced = true
    row.syncError = ""
  }),
  DeleteRelaySubscriptionItem: onRelay("RelaySubscriptionItemDeleted", null, (row) => {
    row.stripeSubscriptionItemId = null
  }),
  SetRelaySubscriptionItem: onRelay("RelaySubscriptionItemSet", null, (row, { stripeSubscriptionItemId }) => {
    row.stripeSubscriptionItemId = stripeSubscriptionItemId
  }),
  SetTenantSubscription: onTenant("TenantSubscriptionSet", null, (row, { stripeSubscriptionId }) => {
    row.stripeSubscriptionId = stripeSubscriptionId
  }),
  ClearTenantSubscription: onTenant("TenantSubscriptionCleared", null, (row) => row.stripeSubscriptionId = null),
  SetTenantNwcError: onTenant("TenantNwcErrorSet", null, (row, { nwcError }) => row.nwcError = storable(nwcError)),
  ClearTenantNwcError: onTenant("TenantNwcErrorCleared", null, (row) => row.nwcError = null),
  SetTenantPastDue: onTenant("TenantPastDueSet", null, (row, _, now) => row.pastDueAt = now),
  ClearTenantPastDue: onTenant("TenantPastDueCleared", null, (row) => row.pastDueAt = null)
}

/** An entry of the model's journal: an event and the row after it. */
export type Entry = Exclude<Outcome, { readonly refused: string }>

/** Fields with reasons of failures. Characters that a database cannot store are replaced in them. */
const diagnostics = new Set(["syncError", "nwcError"])

/** Whether a database can store a character. NUL and lone surrogates cannot be stored. */
export const isStorable = (character: string) =>
  character !== "\0" && !(character >= "\ud800" && character.length === 1 && character <= "\udfff")

export const isMalformed = ({ commands }: Call) =>
  commands.some((command) =>
    Object.entries(command).some(([name, value]) =>
      typeof value === "string" && !diagnostics.has(name) && ![...value].every(isStorable)
    )
  )

const storable = (text: string) => [...text].map((character) => isStorable(character) ? character : "\ufffd").join("")

/** A clock's instant as ISO 8601 text, to the millisecond; `undefined` if commands are refused at that instant. */
export const instantOf = (millis: number): string | undefined =>
  millis >= 0 && millis < Date.UTC(10_000, 0) ? DateTime.formatIso(DateTime.unsafeMake(Math.floor(millis))) : undefined

/**
 * Whether the first command's resource is at another version than the expected one. A missing or existing resource is
 * no conflict.
 */
const hasMovedOn = ({ relays, tenants }: Model, { commands: [first], expected }: Call) => {
  if (first === undefined || expected === undefined) return false
  const { id, pubkey }: Plain = first
  const row = tenants.get(pubkey) ?? relays.get(id)
  const isNew = first._tag.startsWith("Create")
  return isNew ? row === undefined && expected !== 0 : row !== undefined && expected !== row.version
}

/** Applies all commands or none. Returns the model after them with their entries, or the tag of the first refusal. */
export const applyAll = (
  before: Model,
  call: Call,
  now: string
): { readonly refused: string } | { readonly model: Model; readonly entries: ReadonlyArray<Entry> } => {
  if (isMalformed(call)) return { refused: "ParseError" }
  if (hasMovedOn(before, call)) return { refused: "VersionConflict" }
  const model = copy(before)
  const entries: Array<Entry> = []
  for (const command of call.commands) {
    const outcome = rules[command._tag](model, command, now)
    if ("refused" in outcome) return outcome
    entries.push({ ...outcome, row: { ...outcome.row } })
  }
  return { model, entries }
}

/** The rows as `Query` returns them. */
export const rowsOf = ({ relays, tenants }: Model) => ({
  tenants: [...tenants.values()].sort((a, b) => a.pubkey < b.pubkey ? -1 : 1),
  relays: [...relays.values()].sort((a, b) => a.id < b.id ? -1 : 1)
})
