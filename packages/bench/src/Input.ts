/** The commands that are issued: the same for every subject. */
import { randomUUID } from "node:crypto"
import type { CommandName } from "./Case.js"

/** A command as plain data. */
export type Input =
  | { readonly _tag: "createRelay"; readonly id: string; readonly tenant: string; readonly subdomain: string }
  | { readonly _tag: "deactivateRelay"; readonly id: string }

/** The number of tenants in every database at the start. */
export const tenants = 10

/** The pubkey of a tenant, by its number. */
export const pubkey = (index: number): string => scatter(index).repeat(8)

/**
 * The id of a relay, by its number. It is also the subdomain. As with real ids, consecutive numbers are not adjacent in
 * an index.
 */
export const relayId = (index: number): string => `${scatter(index)}${scatter(~index)}`

/** A bijection on 32 bits, so that numbers never collide. */
const scatter = (index: number) => (Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0")

/** One of several processes that share a load. */
export interface Part {
  readonly index: number
  readonly of: number
}

/**
 * Returns a function that returns the next command: creating relays for all tenants, or changing existing relays at
 * random.
 */
export const inputs = ({ command, part = { index: 0, of: 1 }, relays }: {
  readonly command: CommandName
  /** The number of relays in the database at the start. */
  readonly relays: number
  /** The index of this process, and the number of processes. Each process changes its own relays. */
  readonly part?: Part | undefined
}): () => Input => {
  let issued = 0
  const own = Math.floor(relays / part.of)
  switch (command) {
    case "createRelay":
      return () => {
        const id = randomUUID()
        return { _tag: "createRelay", id, tenant: pubkey(issued++ % tenants), subdomain: id }
      }
    case "deactivateRelay":
      // Steps by a prime that does not divide the number of relays visit each relay once per round, in no order of ids.
      return () => ({ _tag: "deactivateRelay", id: relayId(((issued++ * 7919) % own) * part.of + part.index) })
  }
}
