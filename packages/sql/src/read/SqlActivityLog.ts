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
  Effect.map(Database, ({ readCommitted, tables: { activity } }) => {
    const { at, columns, name } = activity
    // A row at position 0, with the state in the columns of other fields, and those of the activities.
    const state = columns({
      position: "0",
      id: "(SELECT id FROM caravel_event WHERE position = ?)",
      tenant: `(${Epochs.currentEpoch})`,
      createdAt: "(SELECT coalesce(max(position), 0) FROM caravel_event)",
      activityType: "NULL",
      resourceType: "NULL",
      resourceId: "NULL"
    })
    const page = `SELECT ${state} UNION ALL SELECT * FROM (
      SELECT ${columns()} FROM ${name} WHERE position > ? AND position <= ? ORDER BY position LIMIT ?) page`

    const decode = (
      rows: ReadonlyArray<ReadonlyArray<unknown>>
    ): Effect.Effect<ActivityLog.Page, ParseResult.ParseError | SqlError> => {
      // The databases append the page to the state, but do not guarantee it. To sort there costs a third of the read.
      const [first = [], ...others] = rows.toSorted((one, other) =>
        Number(one[at.position]) - Number(other[at.position])
      )
      if (first[at.tenant] === null) return Effect.fail(Epochs.unfinished)
      return Either.zipWith(
        decodeState([first[at.tenant], first[at.createdAt], first[at.id]]),
        activity.decode(others),
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
