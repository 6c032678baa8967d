import type { Effect } from "effect"
import type { Subject } from "./Subject.js"

/**
 * A subject on PostgreSQL. Several processes may open it at once. Its commands notify the subscriber in the process
 * that issued them.
 */
export interface PostgresSubject extends
  Subject<{
    /** The URL of a schema that has Caravel's tables, with tenants and relays. */
    readonly url: string
  }>
{
  /** Creates the subject's additional objects in the schema. Runs once, before the subject is opened. */
  readonly prepare: (url: string) => Effect.Effect<unknown>
}
