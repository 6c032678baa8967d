import { SecretId } from "@caravel/domain"
import type { Batch } from "@caravel/domain/adapter"
import { Either, Schema } from "effect"
import type { ResultRows } from "../statement/StatementScript.js"
import * as Table from "../statement/Table.js"
import type { SecretCodec, StoredSecret } from "./SecretCodec.js"

/** The columns of `caravel_secret`. */
export const secretFields = { id: SecretId, value: Schema.String, keyId: Schema.NullOr(Schema.String) }

/** The table `caravel_secret`, whose values the codec encodes and decodes. */
export const make = (codec: SecretCodec) => {
  const table = Table.make("caravel_secret", secretFields)
  const encoded =
    (write: (rows: ReadonlyArray<StoredSecret>) => ReadonlyArray<Table.Statement>) => (secrets: Batch["secrets"]) =>
      write(secrets.map(codec.encode))
  return {
    columns: table.columns,
    insert: () => encoded(table.insert()),
    /** Encodes stored secrets again. One that is deleted meanwhile stays deleted. */
    rewrite: encoded((rows) =>
      rows.map(({ id, keyId, value }): Table.Statement => [
        "UPDATE caravel_secret SET value = ?, key_id = ? WHERE id = ?",
        [value, keyId, id]
      ])
    ),
    delete: table.delete,
    decode: (rows: ResultRows) =>
      Either.flatMap(
        table.decode(rows),
        (rows) => Either.all(rows.map((row) => Either.map(codec.decode(row), (value) => ({ id: row.id, value }))))
      ),
    /** The id of the key that encrypts new secrets; null if they are stored in clear. */
    keyId: codec.keyId
  }
}
