import type { Effect } from "effect"
import type { Subject } from "./Subject.js"

/**
 * A subject on PostgreSQL. It may be opened by several processes at once; of its commands each tells the subscriber in the
 * process that issued it.
 */
export interface PostgresSubject extends
  Subject<{
    /** By which everything is in one schema: it has Caravel's tables, with tenants and relays. */
    readonly url: string
  }>
{
  /** What it needs in the schema besides; once, before it is opened. */
  readonly prepare: (url: string) => Effect.Effect<unknown>
}
