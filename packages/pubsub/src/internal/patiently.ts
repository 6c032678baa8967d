import { StorageError } from "@caravel/domain"
import { Effect } from "effect"
import { untilReadable } from "./Subscription.js"

const isBusy = (error: unknown): boolean => error instanceof StorageError && error.reason === "busy"

/** Another process that holds the database is waited for, however long that takes. */
export const patiently = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchIf(effect, isBusy, () => Effect.retry(effect, { while: isBusy, schedule: untilReadable }))
