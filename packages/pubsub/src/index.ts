/**
 * Caravel's broadcasting: the tail of the journal, and subscriptions to it that lose nothing.
 *
 * @since 0.1.0
 */
export * as Background from "./Background.js"
export * as CheckpointStore from "./CheckpointStore.js"
export * as Consumer from "./Consumer.js"
export * as Feed from "./Feed.js"
export * as InProcess from "./InProcess.js"
export * as Tail from "./Tail.js"
export * as Waiting from "./Waiting.js"
