/** A PostgreSQL database that becomes what another one is, in place. */
import { Position, type StorageError, type Verification } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema, type Scope } from "effect"
import type { Options } from "../../postgres/PostgresDatabase.js"
import type { Source } from "../copy/CopySource.js"
import * as CopyTarget from "../copy/CopyTarget.js"
import { openDatabase } from "../OpenDatabase.js"

/** The database holds a journal. To recover, name another one, or say that it may be overwritten. */
export class NotEmpty extends Schema.TaggedError<NotEmpty>("@caravel/sql/NotEmpty")("NotEmpty", {
  /** The journal's last position. */
  position: Position
}) {
  override get message() {
    return `the database holds a journal, up to position ${this.position}; name another one, or overwrite it`
  }
}

const decodeHead = (rows: ReadonlyArray<ReadonlyArray<unknown>>) => Effect.succeed(Position.make(Number(rows[0]?.[0])))

/** Who reads waits from here on. Were they deleted, each event would be looked for in tables that have no index for that. */
const empty = [
  "ALTER TABLE caravel_event DISABLE TRIGGER caravel_event_unchanged",
  `TRUNCATE caravel_event, caravel_tenant, caravel_relay, caravel_secret, caravel_idempotency, caravel_import,
    caravel_import_refusal, caravel_consumer, caravel_lease, caravel_parked, caravel_epoch`,
  "ALTER TABLE caravel_event ENABLE TRIGGER caravel_event_unchanged"
]

/**
 * A way to make the database what a source is, in one transaction, for which all others of Caravel's wait. Only the owner
 * of the tables may.
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
    const database = yield* openDatabase(options, "target")
    const target = yield* CopyTarget.make(database, "restore")
    const mustBeEmpty = (head: Position) => head === 0 || overwrite ? Effect.void : new NotEmpty({ position: head })
    // Known before anything is verified, it need not be waited for.
    yield* Effect.flatMap(database.read("restore", database.dialect.lastPosition, [], decodeHead), mustBeEmpty)
    return (source, onStep) =>
      target.replace(
        source,
        (connection: Connection, head) =>
          Effect.zipRight(
            mustBeEmpty(head),
            Effect.forEach(empty, (statement) => connection.execute(statement, [], undefined), { discard: true })
          ),
        onStep
      )
  })
