/**
 * The reference model: `command.md` and `model.md` as plain objects, written independently of `decide` and `evolve`.
 * Commands change it in place, so lists are applied to a copy.
 */
import type { CommandInput, CommandTag, Relay, Tenant } from "@caravel/domain"
import { DateTime, Struct, type Types } from "effect"
import { optionDefaults, type Options, type Plain, relayDefaults, tenantDefaults } from "./fixture.js"

/** A command in plain values, with its tag. */
export type PlainCommand<Tag extends CommandTag = CommandTag> = Plain<CommandInput<Tag>>

/** Commands that succeed or fail together: one that is called by its method, or a list that is submitted. */
export interface Call {
  readonly commands: ReadonlyArray<PlainCommand>
  /** The expected version of the first command's resource. */
  readonly expected: number | undefined
}

export interface Model {
  readonly tenants: Map<string, TenantRow>
  readonly relays: Map<string, RelayRow>
}

type TenantRow = Types.Mutable<Plain<Tenant>>
type RelayRow = Types.Mutable<Plain<Relay>>

/** An entry of the model's journal: an event and the row after it. */
export interface Entry<Row = TenantRow | RelayRow> {
  readonly event: string
  readonly activity: string | null
  readonly resourceId: string
  readonly tenant: string
  readonly row: Row
}

/** The result of an accepted command, or the tag of its refusal. */
export type Outcome = { readonly refused: string } | Entry

export const emptyModel = (): Model => ({ tenants: new Map(), relays: new Map() })

const copy = ({ relays, tenants }: Model): Model => ({
  tenants: new Map([...tenants].map(([key, row]) => [key, { ...row }])),
  relays: new Map([...relays].map(([key, row]) => [key, { ...row }]))
})

/** The options that a command has. Null means the default. */
const optionsOf = (command: Partial<Options>) =>
  Object.fromEntries(
    Struct.keys(optionDefaults).flatMap((name) =>
      command[name] === undefined ? [] : [[name, command[name] ?? relayDefaults[name]]]
    )
  )

const taken = ({ relays }: Model, subdomain: string, but: string) =>
  [...relays.values()].some((relay) => relay.subdomain === subdomain && relay.id !== but)

const createTenant = (model: Model, command: PlainCommand<"CreateTenant">, now: string): Outcome => {
  const { nwcUrl, pubkey, stripeCustomerId } = command
  if (model.tenants.has(pubkey)) return { refused: "TenantAlreadyExists" }
  const row: TenantRow = {
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

const createRelay = (model: Model, command: PlainCommand<"CreateRelay">, now: string): Outcome => {
  const { id, subdomain, tenant } = command
  if (!model.tenants.has(tenant)) return { refused: "TenantNotFound" }
  if (model.relays.has(id)) return { refused: "RelayAlreadyExists" }
  if (taken(model, subdomain, id)) return { refused: "SubdomainTaken" }
  const row: RelayRow = { ...relayDefaults, id, tenant, subdomain, createdAt: now, version: 1, ...optionsOf(command) }
  model.relays.set(id, row)
  return { event: "RelayCreated", activity: "create_relay", resourceId: id, tenant, row }
}

type Rule<Command> = (model: Model, command: Command, now: string) => Outcome

const onTenant = <Command extends { readonly pubkey: string }>(
  event: string,
  activity: string | null,
  change: (row: TenantRow, command: Command, now: string) => void
): Rule<Command> =>
(model, command, now) => {
  const row = model.tenants.get(command.pubkey)
  if (row === undefined) return { refused: "TenantNotFound" }
  change(row, command, now)
  row.version += 1
  return { event, activity, resourceId: row.pubkey, tenant: row.pubkey, row }
}

const onRelay = <Command extends { readonly id: string; readonly subdomain?: string | undefined }>(
  event: string,
  activity: string | null,
  change: (row: RelayRow, command: Command) => void
): Rule<Command> =>
(model, command) => {
  const row = model.relays.get(command.id)
  if (row === undefined) return { refused: "RelayNotFound" }
  if (event === "RelayUpdated" && command.subdomain !== undefined && taken(model, command.subdomain, row.id)) {
    return { refused: "SubdomainTaken" }
  }
  change(row, command)
  row.version += 1
  return { event, activity, resourceId: row.id, tenant: row.tenant, row }
}

const rules: { readonly [Tag in CommandTag]: Rule<PlainCommand<Tag>> } = {
  CreateTenant: createTenant,
  UpdateTenant: onTenant("TenantUpdated", "update_tenant", (row, { nwcUrl, stripeCustomerId }) => {
    if (nwcUrl !== undefined) row.nwcUrl = nwcUrl
    if (stripeCustomerId !== undefined) row.stripeCustomerId = stripeCustomerId
  }),
  CreateRelay: createRelay,
  UpdateRelay: onRelay("RelayUpdated", "update_relay", (row, command) => {
    if (command.subdomain !== undefined) row.subdomain = command.subdomain
    Object.assign(row, optionsOf(command))
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
  const row = "pubkey" in first ? tenants.get(first.pubkey) : relays.get(first.id)
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
    const rule = rules[command._tag] as Rule<PlainCommand>
    const outcome = rule(model, command, now)
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
