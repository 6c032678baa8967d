/** Corrects the rows that differ from the journal. */
import { type RelayState, type ResourceState, type ResourceType, StorageError, type TenantState } from "@caravel/domain"
import { fieldIn, resourceKey, resources, type ResourceVerifier } from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Data, Effect } from "effect"
import { Database } from "../database/Database.js"
import type { Dialect } from "../statement/Dialect.js"
import type { Statement } from "../statement/Table.js"
import { UnreadableKey } from "./DamagedRows.js"

/** Corrects what a verification finds, on the connection of the verification. */
export interface ProjectionRepair<E> {
  /** Writes the rows of these resources. References to secrets that are not in `kept` become null. */
  readonly rewrite: (resources: ReadonlyArray<ResourceVerifier>, options: {
    readonly kept: ReadonlySet<string>
    /** Resources up to this id have been compared, or are in the list. */
    readonly upTo: string
  }) => Effect.Effect<void, E>
  /**
   * The previous subdomains of relays whose subdomain was given to another relay, until they are rewritten or deleted.
   */
  readonly vacated: ReadonlyMap<string, string>
  /** Fails, because the event at this position is missing or belongs to no resource. */
  readonly giveUp: (position: number) => Effect.Effect<never, E>
  /** Deletes rows that the journal does not have. Fails if rows of other tables refer to them. */
  readonly remove: (from: ResourceType | "secret", ids: ReadonlyArray<string>) => Effect.Effect<void, E>
}

/** Events are unreadable, missing or contradictory, so the correct rows are unknown. */
class UnsoundJournal extends Data.TaggedError("UnsoundJournal")<{ readonly about: string }> {
  override get message() {
    return `the events ${this.about} are damaged or missing, as verify reports; nothing was changed`
  }
}

/**
 * Repairs on a connection whose transaction checks foreign keys at its end. Wrong rows are updated in place, so that
 * rows of other tables can refer to them throughout. Only rows that the journal does not have are deleted.
 */
export const make = Effect.map(Database, ({ dialect, tables: { relay, secretId, tenant } }) => {
  const upsertTenants = tenant.upsert(resources.tenant.key, [])
  const upsertRelays = relay.upsert(resources.relay.key, [])
  const deletions = {
    tenant: tenant.deleteReturning(resources.tenant.key),
    relay: relay.deleteReturning(resources.relay.key),
    secret: secretId.deleteReturning("id")
  }
  return (
    connection: Connection,
    operation = "Journal.rebuild"
  ): ProjectionRepair<SqlError | UnsoundJournal | UnreadableKey> & {
    readonly written: () => number
  } => {
    let written = 0
    const vacated = new Map<string, string>()
    const run = (statements: ReadonlyArray<Statement>) =>
      Effect.map(
        Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params)),
        (pages): ReadonlyArray<ReadonlyArray<any>> => pages.flat()
      )

    /**
     * Frees the subdomains that the journal assigns to these relays. A relay that loses its subdomain, and has not been
     * compared yet, gets its own when it is compared.
     */
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
            // This relay has been compared, and the subdomain is its own.
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
      rewrite: (verified, { kept, upTo }) =>
        Effect.gen(function*() {
          const tenants: Array<TenantState> = []
          const relays: Array<RelayState> = []
          for (const { isSound, resourceId, resourceType, row } of verified) {
            if (!isSound || row === undefined) {
              return yield* new UnsoundJournal({ about: `of ${resourceKey({ resourceId, resourceType })}` })
            }
            const storable = withKeptSecret(resourceType, row, kept)
            if ("subdomain" in storable) relays.push(storable)
            else tenants.push(storable)
          }
          yield* run(upsertTenants(tenants))
          if (relays.length > 0) {
            yield* makeRoom(relays, upTo)
            yield* run(upsertRelays(relays))
            for (const { id } of relays) vacated.delete(id)
          }
          written += verified.length
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

/** A row without the reference to a secret that is not kept. */
const withKeptSecret = (type: ResourceType, row: ResourceState, kept: ReadonlySet<string>): ResourceState => {
  const { secret } = resources[type]
  return secret === undefined || kept.has(String(fieldIn(row, secret))) ? row : { ...row, [secret]: null }
}

const contested = (subdomain: string, one: string, other: string) =>
  new UnsoundJournal({ about: `that assign the subdomain ${subdomain} to the relays ${one} and ${other}` })

/**
 * The error of a repair, or of the commit after it, with advice. A foreign key of the application can forbid the
 * deletion of rows that the journal does not have.
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
