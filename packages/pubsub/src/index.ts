/**
 * Caravel's broadcasting: the tail of the journal, subscriptions that lose nothing, and durable consumers.
 *
 * @since 0.1.0
 */
export * as Consumer from "./consumer/Consumer.js"
export * as ConsumerStore from "./consumer/ConsumerStore.js"
export * as Background from "./runtime/Background.js"
export * as Backoff from "./runtime/Backoff.js"
export * as Waiting from "./runtime/Waiting.js"
export * as ActivityLog from "./tail/ActivityLog.js"
export * as Feed from "./tail/Feed.js"
export * as InProcess from "./tail/InProcess.js"
export * as Tail from "./tail/Tail.js"
