import { SqlError } from "@effect/sql/SqlError"
import type Sqlite from "better-sqlite3"
import { Effect } from "effect"

/** How many pages are copied before timers and sockets are served: about a millisecond's work. */
const pagesPerTurn = 128

/**
 * Replaces the contents of a file with a database's, through SQLite's backup API: in one transaction, even if other
 * processes have the file open. Returns the number of pages, or 0 if another process was writing to the file and
 * nothing was copied.
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
