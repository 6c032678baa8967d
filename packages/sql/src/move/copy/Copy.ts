/** Copies a journal, and the tables beside it, from one SQLite or PostgreSQL database to another. */
import type { Epoch, Position, StorageError } from "@caravel/domain"
import { Effect } from "effect"
import type { Options as PostgresOptions } from "../../postgres/PostgresOptions.js"
import type { Options as SqliteOptions } from "../../sqlite/SqliteDatabase.js"
import { openDatabase } from "../OpenDatabase.js"
import type { NotACopy } from "./CopyChecks.js"
import * as CopySource from "./CopySource.js"
import * as CopyTarget from "./CopyTarget.js"

export {
  /**
   * The target's journal is not the beginning of the source's journal.
   *
   * @since 0.1.0
   * @category errors
   */
  NotACopy
} from "./CopyChecks.js"

export type {
  /**
   * Called with the progress of a copy.
   *
   * @since 0.1.0
   * @category models
   */
  OnStep
} from "./CopyTarget.js"

/**
 * The databases to copy from and to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly from: SqliteOptions | PostgresOptions
  readonly to: SqliteOptions | PostgresOptions
  readonly onStep?: CopyTarget.OnStep | undefined
}

/**
 * The contents of the target.
 *
 * @since 0.1.0
 * @category models
 */
export interface Copied {
  readonly epoch: Epoch
  /** The last position of its journal. */
  readonly position: Position
  /** How many events this run copied. */
  readonly copied: number
  readonly tenants: number
  readonly relays: number
}

/**
 * Copies the journal, as it is at one instant, to an empty database or to an earlier copy: events with their positions,
 * epochs, secrets as they are stored, idempotency keys, imports, and consumers with their parked activities. The source
 * may be written meanwhile. Rows of tenants and relays are folded from the events, and the copy is verified.
 *
 * The target cannot be opened until the copy is complete. Run an interrupted copy again to complete it. Run a complete
 * copy again to add the events that the source has appended since.
 *
 * @example
 * ```ts
 * import { Copy } from "@caravel/sql"
 * import { Redacted } from "effect"
 *
 * const move = Copy.copy({
 *   from: { filename: "data/caravel.db" },
 *   to: { url: Redacted.make("postgres://caravel@127.0.0.1:5432/caravel") }
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const copy = (
  { from, onStep = () => {}, to }: Options
): Effect.Effect<Copied, NotACopy | StorageError> =>
  Effect.gen(function*() {
    const source = yield* CopySource.make(yield* openDatabase({ migrate: false, ...from }, "source"))
    const target = CopyTarget.make(yield* openDatabase(to, "target"))
    const { before, verified: { relays, tenants } } = yield* target.complete(source, onStep)
    return { epoch: source.epoch, position: source.head, copied: source.head - before, tenants, relays }
  }).pipe(Effect.scoped)
