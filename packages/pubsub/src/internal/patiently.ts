import { StorageError } from "@caravel/domain"
import { retryWhile } from "../Waiting.js"
import { untilReadable } from "./Subscription.js"

/**
 * Whether a failure of storage passes by itself: another process holds the database, or it is away. After `commitUnknown`
 * a consumer may do the same again, as what it writes is the same however often it is written.
 */
export const passes = (error: unknown): boolean =>
  error instanceof StorageError && /^(busy|unavailable|commitUnknown)$/.test(error.reason)

/** Another process that holds the database is waited for, and so is a database that is away, however long that takes. */
export const patiently = retryWhile(passes, untilReadable)
