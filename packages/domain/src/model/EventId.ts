import { Schema } from "effect"
import { branded } from "./Trusted.js"

/**
 * The random id of an event, and of its activity (UUIDv7, RFC 9562).
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

// Every runtime that Effect supports has Web Crypto as a global, but ECMAScript's own types do not include it.
declare const crypto: { readonly randomUUID: () => string }

/** Cached: looking up the global takes as long as generating the id, 1 µs. */
const webCrypto = crypto

/**
 * Generates an id: the milliseconds since 1970 (an integer of at most 48 bits), followed by random bits. The argument
 * is not validated.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (millis: number): EventId => {
  const time = millis.toString(16).padStart(12, "0")
  // A random (version 4) UUID has its random bits at the same places as version 7, except for the first 48 bits and the
  // version.
  return branded<EventId>(`${time.slice(0, 8)}-${time.slice(8)}-7${webCrypto.randomUUID().slice(15)}`)
}
