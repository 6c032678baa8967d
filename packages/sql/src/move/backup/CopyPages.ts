import { SqlError } from "@effect/sql/SqlError"
import type Sqlite from "better-sqlite3"
import { Effect } from "effect"

/** How many pages are copied before timers and sockets have their turn: about a millisecond's work. */
const pagesPerTurn = 128

/**
 * Makes a file what a database is, by SQLite's own means: in one transaction of that file, whoever has it open. Gives how
 * many pages that were; none, and nothing is copied, if somebody else is writing the file.
 */
export const copyPages = (
  database: Sqlite.Database,
  to: string,
  onPages: (done: number, total: number) => void
): Effect.Effect<number, SqlError> =>
  Effect.async((resume) => {
    let interrupted = false
    const copied = database.backup(to, {
      progress: ({ remainingPages, totalPages }) => {
        if (interrupted) throw new Error("interrupted")
        onPages(totalPages - remainingPages, totalPages)
        return pagesPerTurn
      }
    }).then(
      ({ totalPages }) => Effect.succeed(totalPages),
      (cause: unknown) => Effect.fail(new SqlError({ cause, message: `Failed to copy to ${to}` }))
    )
    void copied.then(resume)
    return Effect.promise(() => {
      interrupted = true
      return copied
    })
  })
