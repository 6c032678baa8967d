/** The tables of tenants and relays. */
import { Relay, type ResourceType, Tenant } from "@caravel/domain"
import { resources } from "@caravel/domain/adapter"
import { Array as Arr, Either, Function, Schema, type SchemaAST, String as Str } from "effect"
import type { Dialect } from "../statement/Dialect.js"
import type { ResultRows } from "../statement/StatementScript.js"
import * as Table from "../statement/Table.js"
import type { SecretCodec } from "./SecretCodec.js"
import { secretFields } from "./SecretTable.js"
import { isBoolean, isInstant, storedFields } from "./StoredFields.js"

/** The table that holds the resources of a type. */
export const tableOf = <Type extends ResourceType>(type: Type): `caravel_${Type}` => `caravel_${type}`

/** The tables in a dialect. The codec decodes the secrets of the resources' models. */
export const make = (dialect: Dialect, secrets: SecretCodec) => {
  const encoding = (ast: SchemaAST.AST) => isBoolean(ast) ? dialect.boolean : isInstant(ast) ? Table.Instant : undefined
  const tenant = storedFields(resources.tenant.state.fields, encoding)
  const relay = storedFields(resources.relay.state.fields, encoding)
  return {
    tenant: {
      ...Table.make(tableOf("tenant"), tenant),
      models: modelsOf("tenant", tenant, secrets, Tenant.trusted)
    },
    relay: {
      ...Table.make(tableOf("relay"), relay),
      models: modelsOf("relay", relay, secrets, Relay.trusted),
      ...subdomains(dialect)
    }
  }
}

/** Statements about the subdomains of relays, of which no two relays have the same. */
const subdomains = ({ randomText }: Dialect) => ({
  /**
   * Sets the subdomains of relays to values that no other row has, so that other relays can take over theirs: the
   * database checks a unique column row by row. Rows are not deleted and inserted again, as rows of other tables may
   * refer to them.
   */
  vacate: Table.chunked<string>(
    (size) => `UPDATE caravel_relay SET subdomain = ' ' || ${randomText} WHERE id IN (${Table.repeat("?", size)})`,
    Function.identity
  ),
  /** Selects the relays that have one of these subdomains, and whether the journal has events of them. */
  ofSubdomains: Table.chunked<string>(
    (size) =>
      `SELECT id, subdomain, (SELECT 1 FROM caravel_event
          WHERE resource_id = caravel_relay.id AND resource_type = 'relay' LIMIT 1) IS NOT NULL
        FROM caravel_relay WHERE subdomain IN (${Table.repeat("?", size)})`,
    Function.identity
  )
})

/** Resources as `Query` returns them: selected and decoded with their secrets. */
const modelsOf = <Model extends Tenant | Relay>(
  type: ResourceType,
  fields: { readonly [name: string]: Schema.Schema.AnyNoContext },
  secrets: SecretCodec,
  trusted: (values: any) => Model
) => {
  const name = tableOf(type)
  const { secret: field } = resources[type]
  if (field === undefined) {
    const table = Table.make<any, any>(name, fields)
    return {
      select: `SELECT ${table.columns()} FROM ${name}`,
      decode: (rows: ResultRows) => Either.map(table.decode(rows), Arr.map(trusted))
    }
  }
  const withSecret = Table.make<any, any>(name, {
    ...fields,
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

const noSecret = Either.right(null)
