/** The epochs of the journal, in the table `caravel_epoch`. */
import { type Epoch, EpochStart, StorageError } from "@caravel/domain"
import { SqlError } from "@effect/sql/SqlError"
import { Array as Arr, Effect, type ParseResult, Schema } from "effect"
import { select, type StatementScript } from "../statement/StatementScript.js"

/**
 * Selects the current epoch, which is the last one. In an unfinished copy all numbers are negative, and nothing is
 * selected.
 */
export const currentEpoch = "SELECT epoch FROM caravel_epoch WHERE number > 0 ORDER BY number DESC LIMIT 1"

/** Selects all epochs, oldest first. */
export const allEpochs = "SELECT epoch, position, started_at FROM caravel_epoch ORDER BY number"

/** Begins a new epoch at the head of the journal. */
export const beginEpoch = `INSERT INTO caravel_epoch (number, epoch, position, started_at)
  SELECT (SELECT max(number) + 1 FROM caravel_epoch), ?, coalesce(max(position), 0), ? FROM caravel_event`

const { epoch, position } = EpochStart.fields

const decodeStarts = Schema.decodeUnknown(
  Schema.NonEmptyArray(Schema.Tuple(epoch, position, Schema.DateTimeUtcFromNumber))
)

const decodeEpoch = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(epoch)))

/** The error for the target of a copy that has not ended. */
export const unfinished = new SqlError({
  message: "an unfinished copy",
  cause: new StorageError({
    reason: "other",
    operation: "open",
    cause: new Error("the database is an unfinished copy: run caravel copy again until it ends")
  })
})

/** Decodes what `currentEpoch` selects. Fails if the database is an unfinished copy. */
export const decodeCurrent = (
  rows: ReadonlyArray<ReadonlyArray<unknown>>
): Effect.Effect<Epoch, SqlError | ParseResult.ParseError> =>
  rows.length === 0 ? Effect.fail(unfinished) : Effect.map(decodeEpoch(rows), ([[epoch]]) => epoch)

/** Decodes what `allEpochs` selects. */
export const decodeAll = (rows: unknown) =>
  Effect.map(
    decodeStarts(rows),
    Arr.map(([epoch, position, startedAt]): EpochStart => ({ epoch, position, startedAt }))
  )

const replaced = (message: string) =>
  new SqlError({
    message,
    cause: new StorageError({ reason: "replaced", operation: "begin", cause: new Error(message) })
  })

/** The journal lacks events that this process has broadcast. */
export const goneBack = replaced(
  "the journal lacks events that were broadcast: the database was replaced by an older state while it was open"
)

/**
 * Fails if the journal is in another epoch. Callers and subscribers of this process have seen the timeline of `epoch`,
 * so nothing may be written to another one.
 */
export function* unchanged(epoch: Epoch): StatementScript<void> {
  const [row] = yield* select([[currentEpoch, []]])
  if (row?.[0] === epoch) return
  throw replaced("the database was restored from a backup, or copied to, while it was open")
}
