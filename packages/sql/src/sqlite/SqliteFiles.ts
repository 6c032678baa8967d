import { StorageError } from "@caravel/domain"
import { SqlError } from "@effect/sql/SqlError"
import * as fs from "node:fs"
import * as path from "node:path"

/** How long a look at the files is valid, in milliseconds. */
const freshness = 100

/** Of a write-ahead log, and of each of its frames beside the page, in bytes. */
const logHeader = 32
const frameHeader = 24

/** What SQLite says of the write-ahead log and of the database. */
export interface Extent {
  /** How many frames the log has, and how many of them have been written to the database file. */
  readonly frames: number
  readonly checkpointed: number
  readonly pages: number
  readonly pageSize: number
}

/**
 * The files that SQLite has open, as their names lead to them. SQLite keeps using files that were removed, renamed or replaced:
 * whatever is committed then is lost with the process, and another process that opens the names writes beside it.
 *
 * They are examined by `stat` and never opened: when a file is closed, the system drops every lock that the process has on it.
 * A log that does not exist yet is known from when it does; while the database is open, SQLite itself removes none of them.
 */
export class SqliteFiles {
  private readonly known: Map<string, string | undefined>
  private readonly database: string
  private readonly log: string
  private lost: SqlError | undefined
  private lookedAt = Number.NEGATIVE_INFINITY

  /** Made right after SQLite has opened the file. */
  constructor(filename: string) {
    this.database = path.resolve(filename)
    // SQLite follows links, and keeps the log beside the file itself.
    const real = fs.realpathSync(this.database)
    this.log = `${real}-wal`
    this.known = new Map([this.database, real, this.log, `${real}-shm`].map((name) => [name, identityOf(statOf(name))]))
  }

  /** Why nothing may be committed any more. Looks at the files at most every 100 ms. */
  readonly check = (): SqlError | undefined => performance.now() - this.lookedAt < freshness ? this.lost : this.look()

  /** The same, by looking now. */
  readonly look = (): SqlError | undefined => {
    if (this.lost !== undefined) return this.lost
    try {
      for (const [name, known] of this.known) {
        const found = identityOf(statOf(name))
        if (known === undefined) this.known.set(name, found)
        else if (found !== known) return this.lose(`${name} was ${found === undefined ? "removed" : "replaced"}`)
      }
    } catch (cause) {
      // Whether they are there cannot be said just now.
      return new SqlError({ message: "The database's files cannot be looked at", cause })
    }
    this.lookedAt = performance.now()
    return undefined
  }

  /** Whether a file is shorter than SQLite has made it. What else is written meanwhile may have SQLite truncate it, too. */
  isTruncated({ checkpointed, frames, pageSize, pages }: Extent): boolean {
    const sizeOf = (name: string) => Number(statOf(name)?.size ?? 0)
    return (frames > 0 && sizeOf(this.log) < logHeader + frames * (frameHeader + pageSize)) ||
      (frames === checkpointed && sizeOf(this.database) < pages * pageSize)
  }

  /** From now on nothing may be committed. */
  lose(how: string): SqlError {
    const message = `${how} while the database was open`
    return this.lost = new SqlError({
      message,
      cause: new StorageError({ reason: "replaced", operation: `watching ${this.database}`, cause: new Error(message) })
    })
  }
}

const statOf = (name: string) => fs.statSync(name, { bigint: true, throwIfNoEntry: false })

const identityOf = (stat: fs.BigIntStats | undefined) => stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
