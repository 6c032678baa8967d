import { Epoch, EventId, Position } from "@caravel/domain"
import { ActivityLog } from "@caravel/pubsub"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Either, Layer, type ParseResult, Schema } from "effect"
import { Database } from "../database/Database.js"
import * as Epochs from "../schema/Epochs.js"
import * as RowCodec from "../statement/RowCodec.js"

const fields = { epoch: Epoch, head: Position, known: Schema.NullOr(EventId) }

interface State extends Schema.Struct.Type<typeof fields> {}

const { decodeRow: decodeState } = RowCodec.make<typeof fields, State>(fields, Object.prototype as State)

/**
 * Reads activities and the state of the journal in one statement: a process that another one's commit wakes has one
 * round trip instead of four.
 */
export const layer: Layer.Layer<ActivityLog.ActivityLog, never, Database> = Layer.effect(
  ActivityLog.ActivityLog,
  Effect.map(Database, ({ readCommitted, rows: { activity } }) => {
    // Without activities there is one row, with the state.
    const page = `SELECT ${activity.columns()}, state.*
      FROM (SELECT (${Epochs.currentEpoch}) AS epoch,
        (SELECT coalesce(max(position), 0) FROM caravel_event) AS head,
        (SELECT id FROM caravel_event WHERE position = ?) AS known) state
      LEFT JOIN (SELECT * FROM caravel_activity WHERE position > ? AND position <= ? ORDER BY position LIMIT ?)
        caravel_activity ON TRUE
      ORDER BY caravel_activity.position`
    const width = Object.keys(activity.at).length

    const decode = (
      rows: ReadonlyArray<ReadonlyArray<unknown>>
    ): Effect.Effect<ActivityLog.Page, ParseResult.ParseError | SqlError> => {
      const [first = []] = rows
      if (first[width] === null) return Effect.fail(Epochs.unfinished)
      return Either.zipWith(
        decodeState(first.slice(width)),
        first[0] === null ? Either.right([]) : activity.decode(rows),
        ({ known, ...state }, activities) => ({ ...state, known: known ?? undefined, activities })
      )
    }

    return {
      read: ({ after, limit = everything, upTo = everything }, known) =>
        readCommitted("ActivityLog.read", page, [known ?? 0, after, upTo, limit], decode)
    }
  })
)

const everything = Number.MAX_SAFE_INTEGER
