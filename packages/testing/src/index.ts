/**
 * Tests of programs that use Caravel: given/when/then over the pure decisions, journals from specifications, and
 * fixtures.
 *
 * @since 0.1.0
 */
export { event, type EventFields, type EventSpecification } from "./EventSpecification.js"
export * from "./Fixtures.js"
export { type Expected, type Given, given, type When, type WhenOptions } from "./Given.js"
export { type GivenJournal, journalOf } from "./GivenJournal.js"
export { pubkey } from "./Pubkey.js"
