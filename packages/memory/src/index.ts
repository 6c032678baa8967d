/**
 * Caravel in memory.
 *
 * @since 0.1.0
 */
export * as Memory from "./Memory.js"
