import { Schema } from "effect"

/**
 * The random id of an event, and of the activity that it is (UUIDv7, RFC 9562).
 *
 * @since 0.1.0
 * @category models
 */
export const EventId = Schema.UUID.pipe(Schema.brand("EventId")).annotations({ identifier: "EventId" })

/**
 * @since 0.1.0
 * @category models
 */
export type EventId = typeof EventId.Type

// Web Crypto is a global of every runtime that Effect runs on, but not of ECMAScript's own types.
declare const crypto: { readonly randomUUID: () => string }

/** Kept, as looking the global up takes as long as the id itself: 1 µs. */
const webCrypto = crypto

/**
 * A new id: the milliseconds since 1970, which are whole and at most 48 bits, then random bits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (millis: number): EventId => {
  const time = millis.toString(16).padStart(12, "0")
  // A random (version 4) UUID has its random bits where version 7 has them, but for the first 48 and the version.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${webCrypto.randomUUID().slice(15)}` as EventId
}
