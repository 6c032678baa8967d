/** The tables, and how the domain's values are encoded in their rows. */
import {
  Activity,
  Position,
  type RecordedEvent,
  type Refusal,
  Relay,
  RelayAlreadyExists,
  RelayNotFound,
  type ResourceType,
  SecretId,
  SubdomainTaken,
  Tenant,
  TenantAlreadyExists,
  TenantNotFound,
  VersionConflict
} from "@caravel/domain"
import { type Batch, resources, type Upcasters, upcasters } from "@caravel/domain/adapter"
import { Array as Arr, Either, Function, Schema, type SchemaAST, String as Str } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import type { ResultRows } from "../statement/StatementScript.js"
import * as Table from "../statement/Table.js"
import { eventFields, toEventBy, toRowBy } from "./EventRow.js"
import { importFields, importRefusalFields } from "./ImportTables.js"
import * as SecretCodec from "./SecretCodec.js"
import { isBoolean, isInstant, storedFields } from "./StoredFields.js"

const { Instant } = Table

const noSecret = Either.right(null)

const refusal: Schema.Schema<Refusal, any> = Schema.Union(
  TenantAlreadyExists,
  TenantNotFound,
  RelayAlreadyExists,
  RelayNotFound,
  SubdomainTaken,
  VersionConflict
)

const idempotencyFields = {
  id: Schema.String,
  identity: Schema.String,
  /** The position of the command's first event; null if the command was refused. */
  position: Schema.NullOr(Position),
  events: Schema.NonNegativeInt,
  refusal: Schema.NullOr(Schema.parseJson(refusal)),
  createdAt: Instant
}

/** The stored outcome of a command with an idempotency key. */
export interface IdempotencyRow extends Schema.Struct.Type<typeof idempotencyFields> {}

/** Whether a row is an outcome: a refusal, or events that can be in a journal that ends at `head`. */
export const isOutcome = (
  { events, position, refusal }: Pick<IdempotencyRow, "events" | "position" | "refusal">,
  head: number
): boolean => position === null ? refusal !== null : events > 0 && position > 0 && position + events - 1 <= head

const secretFields = { id: SecretId, value: Schema.String, keyId: Schema.NullOr(Schema.String) }

/** The table that holds the resources of a type. */
export const tableOf = <Type extends ResourceType>(type: Type): `caravel_${Type}` => `caravel_${type}`

/**
 * The tables in a dialect. The upcasters decode events of older versions. The codec encodes secrets; by default they
 * are stored in clear.
 */
export const make = (
  dialect: Dialect,
  { secrets = SecretCodec.clear, upcasters: all = upcasters }: {
    readonly secrets?: SecretCodec.SecretCodec
    readonly upcasters?: Upcasters
  } = {}
) => {
  const encoding = (ast: SchemaAST.AST) => isBoolean(ast) ? dialect.boolean : isInstant(ast) ? Instant : undefined

  const toRow = toRowBy(all)
  const toEvent = toEventBy(all)
  const event = Table.make("caravel_event", { position: Position, ...eventFields })
  const newEvent = Table.make("caravel_event", {
    position: Position,
    ...eventFields,
    createdAt: Schema.Int,
    latestAt: Schema.NullOr(Schema.Int)
  })
  const activity = Table.make("caravel_activity", { ...Activity.fields, createdAt: Instant }, Activity.prototype)
  const tenant = Table.make(tableOf("tenant"), storedFields(resources.tenant.state.fields, encoding))
  const relay = Table.make(tableOf("relay"), storedFields(resources.relay.state.fields, encoding))

  /** Resources as `Query` returns them: selected and decoded with their secrets. */
  const modelsOf = <Model extends Tenant | Relay>(type: ResourceType, trusted: (values: any) => Model) => {
    const { secret: field, state } = resources[type]
    const name = tableOf(type)
    if (field === undefined) {
      const table = Table.make(name, storedFields(state.fields, encoding))
      return {
        select: `SELECT ${table.columns()} FROM ${name}`,
        decode: (rows: ResultRows) => Either.map(table.decode(rows), Arr.map(trusted))
      }
    }
    const withSecret = Table.make<any, any>(name, {
      ...storedFields(state.fields, encoding),
      value: Schema.NullOr(secretFields.value),
      keyId: secretFields.keyId
    })
    const columns = { [field]: "caravel_secret.id", value: "caravel_secret.value", keyId: "caravel_secret.key_id" }
    return {
      select: `SELECT ${withSecret.columns(columns)}
        FROM ${name} LEFT JOIN caravel_secret ON caravel_secret.id = ${name}.${Str.camelToSnake(field)}`,
      decode: (rows: ResultRows) =>
        Either.flatMap(
          withSecret.decode(rows),
          (rows) =>
            Either.all(rows.map(({ keyId, value, ...row }) => {
              const id = row[field]
              return Either.map(
                id === null || value === null ? noSecret : secrets.decode({ id, value, keyId }),
                (secret) => trusted({ ...row, [field]: secret })
              )
            }))
        )
    }
  }

  const secret = Table.make("caravel_secret", secretFields)
  const stored =
    (write: (rows: ReadonlyArray<SecretCodec.StoredSecret>) => ReadonlyArray<Table.Statement>) =>
    (values: Batch["secrets"]) => write(values.map(secrets.encode))

  return {
    event: {
      name: event.name,
      columns: event.columns,
      /**
       * Statements that insert events. `before` is the latest instant of the events before them. An event that is
       * earlier also stores the latest instant, so that it is known at every position without a search.
       */
      insert: () => {
        const insert = newEvent.insert("", dialect.writesEachRow ? 1 : undefined)
        return (events: ReadonlyArray<RecordedEvent>, before: number) => {
          let latest = before
          return insert(events.map((event) => {
            const createdAt = event.createdAt.epochMillis
            const latestAt = latest > createdAt ? latest : null
            latest = Math.max(latest, createdAt)
            return { ...toRow(event), createdAt, latestAt }
          }))
        }
      },
      decode: (rows: ResultRows) => Either.flatMap(event.decode(rows), (rows) => Either.all(rows.map(toEvent))),
      decodeRow: (row: ResultRows[number]) => Either.flatMap(event.decodeRow(row), toEvent),
      selectAt: event.select("position"),
      at: event.at
    },
    activity: {
      columns: activity.columns,
      decode: activity.decode
    },
    tenant: { ...tenant, models: modelsOf("tenant", Tenant.trusted) },
    relay: {
      ...relay,
      models: modelsOf("relay", Relay.trusted),
      /**
       * Sets the subdomains of relays to values that no other row has, so that other relays can take over theirs: the
       * database checks a unique column row by row. Rows are not deleted and inserted again, as rows of other tables
       * may refer to them.
       */
      vacate: Table.chunked<string>(
        (size) =>
          `UPDATE ${relay.name} SET subdomain = ' ' || ${dialect.randomText} WHERE id IN (${Table.repeat("?", size)})`,
        Function.identity
      ),
      /** Selects the relays that have one of these subdomains, and whether the journal has events of them. */
      ofSubdomains: Table.chunked<string>(
        (size) =>
          `SELECT id, subdomain, (SELECT 1 FROM ${event.name}
              WHERE resource_id = ${relay.name}.id AND resource_type = 'relay' LIMIT 1) IS NOT NULL
            FROM ${relay.name} WHERE subdomain IN (${Table.repeat("?", size)})`,
        Function.identity
      )
    },
    secret: {
      columns: secret.columns,
      insert: () => stored(secret.insert()),
      upsert: () => stored(secret.upsert("id", [])),
      delete: secret.delete,
      decode: (rows: ResultRows) =>
        Either.flatMap(
          secret.decode(rows),
          (rows) => Either.all(rows.map((row) => Either.map(secrets.decode(row), (value) => ({ id: row.id, value }))))
        ),
      /** The id of the key that encrypts new secrets; null if they are stored in clear. */
      keyId: secrets.keyId
    },
    /** The secrets without their values. */
    secretId: Table.make("caravel_secret", { id: SecretId }),
    idempotency: Table.make("caravel_idempotency", idempotencyFields),
    import: Table.make("caravel_import", importFields),
    importRefusal: Table.make("caravel_import_refusal", importRefusalFields)
  }
}

export type {
  /** Why rows cannot be decoded. */
  Unreadable
} from "./EventRow.js"
