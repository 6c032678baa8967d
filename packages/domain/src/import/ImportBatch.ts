/** Converts the rows and activities of another database to events that reproduce them, or refuses them. */
import { Either, Equal, Function, HashMap, Option, Record as Rec, Redacted, Struct } from "effect"
import type { CommandRequest } from "../command/CommandRequest.js"
import { commandTable } from "../command/CommandTable.js"
import * as RelayCommand from "../command/RelayCommand.js"
import { UpdateTenant } from "../command/TenantCommand.js"
import type { Batch } from "../decide/Batch.js"
import { decide, evolve, type Refusal, resourceIn, type State } from "../decide/Decider.js"
import type { Event } from "../event/Event.js"
import { resourceTypeOf } from "../event/EventTable.js"
import type { ActivityType, ResourceType } from "../model/Activity.js"
import { fieldIn, type Resource, resourceKey, resources } from "../model/Resource.js"
import type { SecretId } from "../model/Tenant.js"
import { branded, trusted } from "../model/Trusted.js"
import type { ActivityRow, ImportContext, RelayRow, TenantRow, Why } from "./ImportModel.js"

/**
 * A batch of an import.
 *
 * Each activity becomes the event that its command would have appended. The log does not record the values of commands;
 * only the final row is known. A resource therefore starts with the values of its final row, except for a new relay's
 * status and sync state, which follow the log. If the log does not lead to the final row, an event reconciles the
 * resource with it.
 *
 * @since 0.1.0
 * @category models
 */
export class ImportBatch {
  private state: State
  private readonly events: Array<Event> = []
  private readonly secrets: Array<Batch["secrets"][number]> = []
  private readonly context: ImportContext
  private readonly ids: Set<string>

  constructor(context: ImportContext) {
    this.context = context
    this.state = context.state
    this.ids = new Set(context.ids)
  }

  /** The events and secrets to write, and the state after them. */
  get batch(): Batch {
    const { events, secrets, state } = this
    return { events, secrets, state, droppedSecrets: [] }
  }

  /** Adds the event for an activity. */
  addActivity(activity: ActivityRow): Either.Either<void, Why> {
    const { activityType, id, resourceId, resourceType, tenant } = activity
    if (this.ids.has(id)) return refuse("duplicate", `Its id ${id} is taken`)
    const about = resourceTypes[activityType]
    if (resourceType !== about) {
      return refuse("contradictory", `${activityType} is about a ${about}, not about a ${resourceType}`)
    }
    const owner = this.ownerOf(activity)
    if (owner !== undefined && owner !== tenant) {
      return refuse("contradictory", `It names tenant ${tenant}, but belongs to ${owner}`)
    }
    return Either.match(this.reproduce(activity), {
      onLeft: (why) => because(`The ${resourceType} ${resourceId}`, why),
      onRight: () => {
        this.ids.add(id)
        return Either.void
      }
    })
  }

  /** Brings a tenant to the state of its row. */
  addTenant(pubkey: string): Either.Either<void, Why> {
    return Either.map(this.tenant(pubkey), (row) => this.reconcile("TenantReconciled", row))
  }

  /** Brings a relay to the state of its row. */
  addRelay(id: string): Either.Either<void, Why> {
    return Either.map(this.relay(id), (row) => this.reconcile("RelayReconciled", row))
  }

  /**
   * Records the row of an existing resource if the log has not led to it. A secret is recorded with the first event
   * only.
   */
  private reconcile(tag: StatingTag, row: TenantRow | RelayRow): void {
    const resource = resourceNamed(tag, row)
    const here = Option.getOrThrow(resourceIn(this.state, resource))
    const { secret } = resources[resource.resourceType]
    const differs = Object.entries(row).some(([field, value]) =>
      field !== secret && !Equal.equals(value, fieldIn(here, field))
    )
    if (differs) this.stateRow(tag, row, this.reconciling(resourceKey(resource), here.version + 1))
  }

  private reproduce(activity: ActivityRow): Either.Either<void, Why> {
    const { activityType, createdAt, formerId, id, resourceId } = activity
    const metadata = formerId === undefined
      ? this.context.metadata
      : { ...this.context.metadata, causationId: formerId }
    const origin = { id, createdAt, metadata }
    switch (activityType) {
      case "create_tenant":
        return Either.map(this.tenant(resourceId, origin), Function.constVoid)
      case "create_relay":
        return Either.map(this.relay(resourceId, origin), Function.constVoid)
      case "update_tenant":
        return Either.flatMap(
          this.tenant(resourceId),
          ({ pubkey }) => this.follow(commandOf(UpdateTenant, "UpdateTenant", { pubkey }), origin)
        )
      default:
        return Either.flatMap(this.relay(resourceId), (row) => this.follow(relayCommands[activityType](row), origin))
    }
  }

  /** The pubkey of a resource's tenant, according to its row. */
  private ownerOf({ resourceId, resourceType }: Pick<ActivityRow, "resourceId" | "resourceType">): string | undefined {
    if (resourceType === "tenant") return resourceId
    const row = this.context.relays.get(resourceId)
    return row !== undefined && Either.isRight(row) ? row.right.tenant : undefined
  }

  /**
   * Returns a tenant's row after making sure that the tenant exists. A missing tenant is created, with the id and the
   * instant of its logged creation if there is one.
   */
  private tenant(pubkey: string, creation?: Origin): Either.Either<TenantRow, Why> {
    return Either.flatMap(this.context.tenants.get(pubkey) ?? missing(`tenant ${pubkey}`), (row) => {
      const isHere = HashMap.has(this.state.tenants, row.pubkey)
      if (isHere && this.isForeign({ resourceType: "tenant", resourceId: row.pubkey })) return exists("tenant")
      if (creation !== undefined) this.stateRow("TenantImported", row, creation)
      else if (!isHere) {
        this.stateRow("TenantReconciled", row, this.reconciling(`tenant ${pubkey}`, 1, row.createdAt))
      }
      return Either.right(row)
    })
  }

  /** Returns a relay's row after making sure that the relay and its tenant exist. */
  private relay(id: string, creation?: Origin): Either.Either<RelayRow, Why> {
    return Either.flatMap(this.context.relays.get(id) ?? missing(`relay ${id}`), (row) => {
      const isHere = HashMap.has(this.state.relays, row.id)
      if (isHere && this.isForeign({ resourceType: "relay", resourceId: row.id })) return exists("relay")
      const tenant = this.tenant(row.tenant)
      if (Either.isLeft(tenant)) return because(`Its tenant ${row.tenant}`, tenant.left)
      if (isHere && creation === undefined) return Either.right(row)
      const origin = creation ?? this.reconciling(`relay ${id}`, 1, row.createdAt)
      // Only the command's fields: a relay is created active, whatever its row has become.
      const configuration = Struct.omit(row, "status", "stripeSubscriptionItemId", "synced", "syncError")
      const created = this.decide(commandOf(RelayCommand.CreateRelay, "CreateRelay", configuration), origin, {
        ...this.state,
        relays: HashMap.remove(this.state.relays, row.id)
      })
      if (Either.isLeft(created)) return refuse("duplicate", created.left.message)
      if (creation === undefined) this.stateRow("RelayReconciled", row, origin)
      else {
        const { stripeSubscriptionItemId } = row
        this.stateRow("RelayImported", { ...row, ...created.right.changes, stripeSubscriptionItemId }, origin)
      }
      return Either.right(row)
    })
  }

  private isForeign(resource: Resource): boolean {
    return this.context.foreign.has(resourceKey(resource))
  }

  /** Decides a command at the time and with the metadata of its origin. */
  private decide<Command extends CommandRequest>(
    command: Command,
    { createdAt: now, id, metadata }: Origin,
    state = this.state
  ) {
    return decide(state, command, { id, now, expected: undefined, metadata })
  }

  private follow(command: CommandRequest, origin: Origin): Either.Either<void, Why> {
    const decided: Either.Either<Event, Refusal> = this.decide(command, origin)
    return Either.mapBoth(decided, {
      onLeft: ({ message }): Why => ({ kind: "contradictory", reason: message }),
      onRight: (event) => this.record(event)
    })
  }

  private reconciling(resource: string, version: number, createdAt = this.context.startedAt): Origin {
    return { id: this.context.idOf(`${resource} ${version}`), createdAt, metadata: this.context.metadata }
  }

  /** Records a row of the other database at the next version of its resource. */
  private stateRow(_tag: StatingTag, row: TenantRow | RelayRow, origin: Origin): void {
    const resource = resourceNamed(_tag, row)
    const { key, owner, secret } = resources[resource.resourceType]
    const here = Option.getOrUndefined(resourceIn(this.state, resource))
    const changes: { [field: string]: unknown } = { ...row }
    delete changes[key]
    delete changes[owner]
    if (secret !== undefined) {
      const value = fieldIn(row, secret)
      // The event that creates the resource refers to the secret. Later ones keep that reference, so the secret is
      // stored once.
      if (here !== undefined) changes[secret] = fieldIn(here, secret)
      else if (Redacted.isRedacted(value)) {
        const id = branded<SecretId>(origin.id)
        changes[secret] = id
        this.secrets.push({ id, value: value as Redacted.Redacted })
      }
    }
    const version = (here?.version ?? 0) + 1
    // The changes are the fields of this resource type's state.
    this.record({ _tag, ...origin, tenant: fieldIn(row, owner), ...resource, version, changes } as Event)
  }

  private record(event: Event): void {
    this.events.push(event)
    this.state = evolve(this.state, event)
  }
}

/** The events that record a row of another database. */
type StatingTag = "TenantImported" | "TenantReconciled" | "RelayImported" | "RelayReconciled"

/** The resource of a row. */
const resourceNamed = (tag: StatingTag, row: TenantRow | RelayRow): Resource => {
  const resourceType = resourceTypeOf(tag)!
  return { resourceType, resourceId: fieldIn(row, resources[resourceType].key) } as Resource
}

/** The fields of an event that depend on its origin. */
type Origin = Pick<Event, "id" | "createdAt" | "metadata">

const refuse = (kind: Why["kind"], reason: string): Either.Either<never, Why> => Either.left({ kind, reason })

const missing = (resource: string) => refuse("missing", `There is no row of ${resource}`)

const because = (whose: string, why: Why) =>
  why.kind === "missing" ? Either.left(why) : refuse("dependent", `${whose} is refused: ${why.reason}`)

const exists = (resource: string) =>
  refuse("exists", `This ${resource} already exists, and this import is not its only source`)

const resourceTypes = Rec.fromEntries(
  Object.values(commandTable).flatMap(({ activity, resource }) => activity === null ? [] : [[activity, resource]])
) as { readonly [Type in ActivityType]: ResourceType }

/** Creates a command from values that have already been validated. */
const commandOf = <Command extends CommandRequest>(
  Class: { readonly prototype: Command },
  _tag: Command["_tag"],
  values: Omit<Command, keyof CommandRequest>
): Command => trusted(Class, { ...values, _tag })

/**
 * The command for each type of activity about a relay, reconstructed from the final row. The row holds the values of
 * the last such command only.
 */
const relayCommands: {
  readonly [Type in Exclude<ActivityType, `${string}_tenant` | "create_relay">]: (row: RelayRow) => CommandRequest
} = {
  update_relay: ({ id }) => commandOf(RelayCommand.UpdateRelay, "UpdateRelay", { id }),
  deactivate_relay: ({ id, status }) =>
    status === "delinquent"
      ? commandOf(RelayCommand.MarkRelayDelinquent, "MarkRelayDelinquent", { id })
      : commandOf(RelayCommand.DeactivateRelay, "DeactivateRelay", { id }),
  activate_relay: ({ id }) => commandOf(RelayCommand.ActivateRelay, "ActivateRelay", { id }),
  fail_relay_sync: ({ id, syncError }) =>
    commandOf(RelayCommand.FailRelaySync, "FailRelaySync", { id, syncError: syncError === "" ? "unknown" : syncError }),
  complete_relay_sync: ({ id }) => commandOf(RelayCommand.CompleteRelaySync, "CompleteRelaySync", { id })
}
