/**
 * The activities that other processes have committed since the tail's last read. On a server, the writer loads them
 * together with the head of the journal, so that the tail need not read them after the commit.
 */
import type { Position } from "@caravel/domain"
import type { Tail } from "@caravel/pubsub"
import { Either } from "effect"
import type * as Tables from "../schema/Tables.js"
import type { ResultRows } from "../statement/StatementScript.js"

/** How many positions are loaded at most: other processes wait meanwhile. The tail reads the rest later. */
const most = 256

/** Extends a statement that selects one row, `last`, by these activities: its columns are repeated for each. */
export const make = ({ activity }: ReturnType<typeof Tables.make>, columns: ReadonlyArray<string>) => ({
  /** Without activities, their columns are null. */
  select: (statement: string): string =>
    // The bounds make the server use the index even with a plan that was made for an empty table.
    `SELECT ${[...columns, activity.columns()].join(", ")} FROM (${statement}) last
      LEFT JOIN caravel_activity ON caravel_activity.position > ? AND caravel_activity.position <= ?
      ORDER BY caravel_activity.position`,

  params: (after: Position): ReadonlyArray<number> => [after, after + most],

  /** The activities after the tail's position; undefined if there are too many. */
  decode: (
    rows: ResultRows,
    { after, head }: { readonly after: Position; readonly head: Position }
  ): Either.Either<Tail.Preceding | undefined, Tables.Unreadable> => {
    if (head <= after || head > after + most) return Either.right(undefined)
    const found = rows[0]?.[columns.length] === null ? [] : rows.map((row) => row.slice(columns.length))
    return Either.map(activity.decode(found), (activities) => ({ after, activities }))
  }
})
