import { StorageError } from "@caravel/domain"
import { Effect } from "effect"
import { untilReadable } from "./Subscription.js"

const mayPass = (error: unknown): boolean =>
  error instanceof StorageError && (error.reason === "busy" || error.reason === "unavailable")

/** Another process that holds the database is waited for, and so is a database that is away, however long that takes. */
export const patiently = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchIf(effect, mayPass, () => Effect.retry(effect, { while: mayPass, schedule: untilReadable }))
