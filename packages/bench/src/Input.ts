/** Which commands are issued: the same for every subject. */
import { randomUUID } from "node:crypto"
import type { CommandName } from "./Case.js"

/** A command as plain data. */
export type Input =
  | { readonly _tag: "createRelay"; readonly id: string; readonly tenant: string; readonly subdomain: string }
  | { readonly _tag: "deactivateRelay"; readonly id: string }

/** How many tenants every database has from the start. */
export const tenants = 10

/** The pubkey of the tenant of this number. */
export const pubkey = (index: number): string => scatter(index).repeat(8)

/**
 * The id of the relay of this number, which is its subdomain too. Neighbours in number are none in an index, as with
 * ids of real callers.
 */
export const relayId = (index: number): string => `${scatter(index)}${scatter(~index)}`

/** A bijection of 32 bits, so that no two numbers meet. */
const scatter = (index: number) => (Math.imul(index + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0")

/** One of the processes that share a load. */
export interface Part {
  readonly index: number
  readonly of: number
}

/** Gives one command after another: new relays of all tenants, or the relays that were there, at random. */
export const inputs = ({ command, part = { index: 0, of: 1 }, relays }: {
  readonly command: CommandName
  /** How many relays the database has from the start. */
  readonly relays: number
  /** Which of the processes this one is, and of how many: each has relays of its own. */
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
      // Steps of a prime that is no factor of their number: each once, then again, in no order of their ids.
      return () => ({ _tag: "deactivateRelay", id: relayId(((issued++ * 7919) % own) * part.of + part.index) })
  }
}
