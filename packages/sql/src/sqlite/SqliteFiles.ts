import { StorageError } from "@caravel/domain"
import { SqlError } from "@effect/sql/SqlError"
import * as fs from "node:fs"
import * as path from "node:path"

/** How long a check of the files is valid, in milliseconds. */
const freshness = 100

/** The header sizes of a write-ahead log and of each of its frames, in bytes. */
const logHeader = 32
const frameHeader = 24

/** The sizes of the write-ahead log and the database, as SQLite reports them. */
export interface Extent {
  /** How many frames the log has, and how many of them have been written to the database file. */
  readonly frames: number
  readonly checkpointed: number
  readonly pages: number
  readonly pageSize: number
}

/**
 * Checks that the names of the files that SQLite has open still refer to these files. SQLite keeps using files that
 * were removed, renamed or replaced: what is committed then is lost when the process ends, and another process that
 * opens the names writes to other files.
 *
 * The files are examined with `stat` and never opened: when a file is closed, the system drops every lock that the
 * process has on it. A log that does not exist yet is remembered once it exists. SQLite itself removes none of the
 * files while the database is open and its log in use.
 */
export class SqliteFiles {
  private readonly known = new Map<string, string | undefined>()
  private readonly database: string
  private readonly log: string
  private lost: SqlError | undefined
  private lookedAt = Number.NEGATIVE_INFINITY

  /** Must be called right after SQLite has opened the file. The log is checked only after `includeLog`. */
  constructor(filename: string) {
    this.database = path.resolve(filename)
    // SQLite follows links, and keeps the log beside the file itself.
    const real = fs.realpathSync(this.database)
    this.log = `${real}-wal`
    this.remember(this.database, real)
  }

  /**
   * Checks the log from now on, too. Must be called after the connection has read in WAL mode: before that, the last
   * other connection that closes removes the log and its index.
   */
  includeLog(): void {
    this.remember(this.log, this.log.replace(/-wal$/, "-shm"))
  }

  /** Returns why nothing more may be committed, or undefined. Checks the files at most every 100 ms. */
  readonly check = (): SqlError | undefined => performance.now() - this.lookedAt < freshness ? this.lost : this.look()

  /** The same, but always checks the files. */
  readonly look = (): SqlError | undefined => {
    if (this.lost !== undefined) return this.lost
    try {
      for (const [name, known] of this.known) {
        const found = identityOf(statOf(name))
        if (known === undefined) this.known.set(name, found)
        else if (found !== known) return this.lose(`${name} was ${found === undefined ? "removed" : "replaced"}`)
      }
    } catch (cause) {
      // Whether the files exist is unknown, so the next call checks again.
      return new SqlError({ message: "The database's files cannot be checked", cause })
    }
    this.lookedAt = performance.now()
    return undefined
  }

  /**
   * Whether a file is shorter than SQLite made it. Also true if SQLite truncates the file while another connection
   * writes.
   */
  isTruncated({ checkpointed, frames, pageSize, pages }: Extent): boolean {
    const sizeOf = (name: string) => Number(statOf(name)?.size ?? 0)
    return (frames > 0 && sizeOf(this.log) < logHeader + frames * (frameHeader + pageSize)) ||
      (frames === checkpointed && sizeOf(this.database) < pages * pageSize)
  }

  private remember(...names: ReadonlyArray<string>): void {
    for (const name of names) this.known.set(name, identityOf(statOf(name)))
  }

  /** Makes every later check fail. */
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
