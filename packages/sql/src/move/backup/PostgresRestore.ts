/** Restores a PostgreSQL database in place. */
import { Position, type StorageError, type Verification } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema, type Scope } from "effect"
import type { Options } from "../../postgres/PostgresOptions.js"
import { headOf } from "../../schema/Head.js"
import { auxiliaryNames, events, type Source } from "../copy/CopySource.js"
import * as CopyTarget from "../copy/CopyTarget.js"
import { openDatabase } from "../OpenDatabase.js"

/** The database already holds a journal. Name another database, or allow this one to be overwritten. */
export class NotEmpty extends Schema.TaggedError<NotEmpty>("@caravel/sql/NotEmpty")("NotEmpty", {
  /** The journal's last position. */
  position: Position
}) {
  override get message() {
    return `the database holds a journal, up to position ${this.position}; name another one, or overwrite it`
  }
}

/** All tables but those of tenants and relays, and of the secrets that these refer to. */
const withoutResources = [
  events.name,
  ...auxiliaryNames.filter((name) => name !== "caravel_secret"),
  "caravel_epoch"
]

const all = [...withoutResources, "caravel_tenant", "caravel_relay", "caravel_secret"]

/** Selects a row if the application's own tables refer to tenants or relays. */
const isReferenced = `SELECT 1 FROM pg_constraint WHERE contype = 'f' AND conrelid <> 'caravel_relay'::regclass
  AND confrelid IN ('caravel_tenant'::regclass, 'caravel_relay'::regclass) LIMIT 1`

/**
 * Empties the database. Readers wait from here on. The tables are truncated, because a DELETE would look up each event
 * in tables that have no index for it. PostgreSQL does not truncate a table that another table references. Therefore
 * tenants and relays that the application references stay, and are updated in place when the restored journal is
 * folded, as by `Journal.rebuild`.
 */
const empty = (connection: Connection) =>
  Effect.gen(function*() {
    const references = yield* connection.executeValues(isReferenced, [])
    const statements = [
      "ALTER TABLE caravel_event DISABLE TRIGGER caravel_event_unchanged",
      `TRUNCATE ${(references.length === 0 ? all : withoutResources).join(", ")}`,
      "ALTER TABLE caravel_event ENABLE TRIGGER caravel_event_unchanged"
    ]
    yield* Effect.forEach(statements, (statement) => connection.execute(statement, [], undefined), { discard: true })
  })

/**
 * Opens the database, and returns a function that replaces its contents with a source's. This takes one transaction,
 * which locks the tables until it ends; the role must own them. It fails, and changes nothing, if rows of the
 * application refer to a tenant or relay that the source lacks.
 */
export const make = (
  options: Options,
  overwrite: boolean
): Effect.Effect<
  (source: Source, onStep: CopyTarget.OnStep) => Effect.Effect<Verification, NotEmpty | StorageError>,
  NotEmpty | StorageError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    // A database that must not be overwritten is not migrated either.
    const database = yield* openDatabase({ migrate: overwrite, ...options }, "target")
    const target = CopyTarget.make(database, "restore")
    const mustBeEmpty = (head: Position) => head === 0 || overwrite ? Effect.void : new NotEmpty({ position: head })
    // Checked here too, to fail before the backup is verified.
    yield* Effect.flatMap(database.readCommitted("restore", database.dialect.lastPosition, [], headOf), mustBeEmpty)
    return (source, onStep) =>
      target.replace(
        source,
        (connection, head) => Effect.zipRight(mustBeEmpty(head), empty(connection)),
        onStep
      )
  })
