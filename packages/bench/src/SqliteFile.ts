import Database from "better-sqlite3"
import { Effect, type Scope } from "effect"
import type { OpenOptions } from "./Subject.js"

/** Opens a database with Caravel's settings. */
export const open = (
  { filename, synchronous }: Omit<OpenOptions, "relays">
): Effect.Effect<Database.Database, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const db = new Database(filename)
      for (const setting of settings(synchronous)) db.pragma(setting)
      return db
    }),
    (db) => Effect.sync(() => db.close())
  )

/** The settings as pragmas. */
export const settings = (synchronous: OpenOptions["synchronous"]): ReadonlyArray<string> => [
  "journal_mode = WAL",
  `synchronous = ${synchronous}`,
  "foreign_keys = ON",
  "wal_autocheckpoint = 4000"
]
