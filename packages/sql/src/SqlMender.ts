/** Writes the rows that the journal says, where others were found. */
import type { RelayState, TenantState } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Data, Effect, Function } from "effect"
import { Database } from "./Database.js"
import type { Mender } from "./SqlVerification.js"
import { chunked, repeat, type Statement } from "./Table.js"

/** Events are unreadable or missing, so that what the rows should be cannot be known. */
class UnsoundJournal extends Data.TaggedError("UnsoundJournal")<{ readonly about: string }> {
  override get message() {
    return `the events ${this.about} are damaged or missing, as verify tells; nothing was changed`
  }
}

/**
 * A mender on a connection whose transaction checks foreign keys at its end.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.map(Database, ({ rows: { relay, secret, tenant } }) => {
  const upsertTenants = tenant.upsert("pubkey", [])
  const deletions = { tenant: tenant.delete("pubkey"), relay: relay.delete("id"), secret: secret.delete("id") }
  const insertRelays = relay.insert()
  // What holds another's subdomain and has not been compared yet is wrong, and will be found missing.
  const evict = chunked<string>(
    (size) => `DELETE FROM relay WHERE subdomain IN (${repeat("?", size)}) AND id > ?`,
    Function.identity
  )

  return (connection: Connection): Mender<SqlError | UnsoundJournal> & { readonly written: () => number } => {
    let written = 0
    const execute = (statements: ReadonlyArray<Statement>) =>
      Effect.forEach(statements, ([text, params]) => connection.execute(text, params, undefined), { discard: true })

    return {
      written: () => written,
      rewrite: (folds, { kept, upTo }) =>
        Effect.gen(function*() {
          const tenants: Array<TenantState> = []
          const relays: Array<RelayState> = []
          for (const { isSound, resourceId, resourceType, row } of folds) {
            if (!isSound || row === undefined) {
              return yield* new UnsoundJournal({ about: `of ${resourceType} ${resourceId}` })
            }
            if ("subdomain" in row) relays.push(row)
            else tenants.push(row.nwcUrl !== null && kept.has(row.nwcUrl) ? row : { ...row, nwcUrl: null })
          }
          yield* execute(upsertTenants(tenants))
          yield* execute(deletions.relay(relays.map(({ id }) => id)))
          yield* execute(
            evict(relays.map(({ subdomain }) => subdomain)).map((
              [text, params, rows]
            ) => [text, [...params, upTo], rows])
          )
          yield* execute(insertRelays(relays))
          written += folds.length
        }),
      giveUp: (position) => new UnsoundJournal({ about: `from position ${position}` }),
      remove: (from, ids) =>
        Effect.map(execute(deletions[from](ids)), () => {
          written += ids.length
        })
    }
  }
})
