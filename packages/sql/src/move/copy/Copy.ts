/** Copies of a journal, and of what is beside it, from one database to another of whichever kind. */
import type { Epoch, Position, StorageError } from "@caravel/domain"
import { Effect } from "effect"
import type { Options as PostgresOptions } from "../../postgres/PostgresDatabase.js"
import type { Options as SqliteOptions } from "../../sqlite/SqliteDatabase.js"
import { openDatabase } from "../OpenDatabase.js"
import * as CopySource from "./CopySource.js"
import * as CopyTarget from "./CopyTarget.js"

export {
  /**
   * Why a database cannot be the target.
   *
   * @since 0.1.0
   * @category errors
   */
  NotACopy
} from "./CopyTarget.js"

export type {
  /**
   * Is told how far a copy is.
   *
   * @since 0.1.0
   * @category models
   */
  OnStep
} from "./CopyTarget.js"

/**
 * What is copied, and where to.
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
 * What the target holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Copied {
  readonly epoch: Epoch
  /** The last position of its journal. */
  readonly position: Position
  /** How many of the events were not there before. */
  readonly copied: number
  readonly tenants: number
  readonly relays: number
}

/**
 * Copies the journal as it is at one instant, whoever writes it meanwhile, to an empty database or to an earlier copy: events
 * with their positions, epochs, secrets as they are stored, idempotency keys, imports, and consumers with what they have parked.
 * Rows of tenants and relays are folded from the events, and all is verified.
 *
 * The target cannot be opened until it is whole: one that was interrupted, at whatever instant, is completed by doing the same
 * again. So is one that the source has gone on from; what is written after the copy has begun is left to the next.
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
): Effect.Effect<Copied, CopyTarget.NotACopy | StorageError> =>
  Effect.gen(function*() {
    const source = yield* CopySource.make(yield* openDatabase(from, "source"))
    const target = yield* CopyTarget.make(yield* openDatabase(to, "target"))
    const { before, verified: { relays, tenants } } = yield* target.complete(source, onStep)
    return { epoch: source.epoch, position: source.head, copied: source.head - before, tenants, relays }
  }).pipe(Effect.scoped)
