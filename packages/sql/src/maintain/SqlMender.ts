/** Writes the rows that the journal says, where others were found. */
import {
  type Fold,
  type RelayState,
  resourceKey,
  type ResourceType,
  StorageError,
  type TenantState
} from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Data, Effect } from "effect"
import { Database } from "../database/Database.js"
import type { Dialect } from "../statement/Dialect.js"
import type { Statement } from "../statement/Table.js"
import { UnreadableKey } from "./UnreadableKey.js"

/** Mends what has been found, on the connection that it is found on. */
export interface Mender<E> {
  /** Writes the rows of these resources, with references to secrets that are kept. */
  readonly rewrite: (folds: ReadonlyArray<Fold>, options: {
    readonly kept: ReadonlySet<string>
    /** Resources up to this id have been compared, or are in the list. */
    readonly upTo: string
  }) => Effect.Effect<void, E>
  /** The subdomains that relays had before others came to have them, of those that are still to be rewritten or deleted. */
  readonly vacated: ReadonlyMap<string, string>
  /** Fails, as the event at this position is missing or belongs to nothing. */
  readonly giveUp: (position: number) => Effect.Effect<never, E>
  /** Deletes what the journal does not know. */
  readonly remove: (from: ResourceType | "secret", ids: ReadonlyArray<string>) => Effect.Effect<void, E>
}

/** Events are unreadable, missing or contradictory, so that what the rows should be cannot be known. */
class UnsoundJournal extends Data.TaggedError("UnsoundJournal")<{ readonly about: string }> {
  override get message() {
    return `the events ${this.about} are damaged or missing, as verify tells; nothing was changed`
  }
}

/**
 * A mender on a connection whose transaction checks foreign keys at its end. Rows that are wrong are updated in place, so that
 * rows of other tables that refer to them stay as they are. Only those that the journal does not have are deleted.
 */
export const make = Effect.map(Database, ({ dialect, rows: { relay, secretId, tenant } }) => {
  const upsertTenants = tenant.upsert("pubkey", [])
  const upsertRelays = relay.upsert("id", [])
  const deletions = {
    tenant: tenant.deleteReturning("pubkey"),
    relay: relay.deleteReturning("id"),
    secret: secretId.deleteReturning("id")
  }
  return (connection: Connection, operation = "Journal.rebuild"): Mender<SqlError | UnsoundJournal | UnreadableKey> & {
    readonly written: () => number
  } => {
    let written = 0
    const vacated = new Map<string, string>()
    const run = (statements: ReadonlyArray<Statement>) =>
      Effect.map(
        Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
        (pages): ReadonlyArray<ReadonlyArray<any>> => pages.flat()
      )

    /** Has other relays give up the subdomains that these have by the journal. Those that are not compared yet come to theirs. */
    const makeRoom = (relays: ReadonlyArray<RelayState>, upTo: string) =>
      Effect.gen(function*() {
        const rewritten = new Set<string>(relays.map(({ id }) => id))
        const owners = new Map<string, string>()
        for (const { id, subdomain } of relays) {
          const other = owners.get(subdomain)
          if (other !== undefined) return yield* contested(subdomain, other, id)
          owners.set(subdomain, id)
        }
        const giving: Array<string> = []
        for (const [id, subdomain, isKnown] of yield* run(relay.ofSubdomains([...owners.keys()]))) {
          const owner = owners.get(subdomain)!
          if (id === owner) continue
          if (!rewritten.has(id)) {
            // It has been compared, and the subdomain is its own.
            if (isKnown && id <= upTo) return yield* contested(subdomain, id, owner)
            vacated.set(id, subdomain)
          }
          giving.push(id)
        }
        yield* run(relay.vacate(giving))
      })

    return {
      written: () => written,
      vacated,
      rewrite: (folds, { kept, upTo }) =>
        Effect.gen(function*() {
          const tenants: Array<TenantState> = []
          const relays: Array<RelayState> = []
          for (const { isSound, resourceId, resourceType, row } of folds) {
            if (!isSound || row === undefined) {
              return yield* new UnsoundJournal({ about: `of ${resourceKey({ resourceId, resourceType })}` })
            }
            if ("subdomain" in row) relays.push(row)
            else tenants.push(row.nwcUrl !== null && kept.has(row.nwcUrl) ? row : { ...row, nwcUrl: null })
          }
          yield* run(upsertTenants(tenants))
          if (relays.length > 0) {
            yield* makeRoom(relays, upTo)
            yield* run(upsertRelays(relays))
            for (const { id } of relays) vacated.delete(id)
          }
          written += folds.length
        }),
      giveUp: (position) => new UnsoundJournal({ about: `from position ${position}` }),
      remove: (from, ids) =>
        Effect.gen(function*() {
          const rows = yield* Effect.mapError(
            run(deletions[from](ids)),
            (error) => explained(dialect, error, operation)
          )
          const deleted = new Set(rows.map(([id]) => id))
          const left = ids.find((id) => !deleted.has(id))
          if (left !== undefined) return yield* new UnreadableKey({ table: from, key: left })
          written += ids.length
        })
    }
  }
})

const contested = (subdomain: string, one: string, other: string) =>
  new UnsoundJournal({ about: `that give the subdomain ${subdomain} to the relays ${one} and ${other}` })

/**
 * The error of a mender, or of the commit after it. Rows that the journal does not have are deleted, which a foreign key of the
 * application's may not allow.
 */
export const explained = (dialect: Dialect, error: SqlError, operation: string): SqlError => {
  if (!dialect.isReferenced(error.cause)) return error
  const cause = new Error(
    "rows of another table refer to a tenant or relay that the journal does not have, and that would be deleted: " +
      `move or delete those first; nothing was changed (${String(error.cause)})`
  )
  return new SqlError({
    message: cause.message,
    cause: new StorageError({ reason: "other", operation, cause })
  })
}
