/** Pubkeys with names. */
import { Pubkey } from "@caravel/domain"
import { Encoding } from "effect"

/**
 * A valid pubkey that is derived from a name of at most 32 bytes: the name's bytes in hex, followed by zeros. The same
 * name always has the same pubkey, and different names have different ones.
 *
 * @example
 * ```ts
 * import { pubkey } from "@caravel/testing"
 *
 * assert.strictEqual(pubkey("alice"), "616c696365".padEnd(64, "0"))
 * ```
 *
 * @since 0.1.0
 * @category fixtures
 */
export const pubkey = (name: string): Pubkey => Pubkey.make(Encoding.encodeHex(name).padEnd(64, "0"))
