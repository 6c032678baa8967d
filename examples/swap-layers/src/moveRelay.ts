import { Command, Query } from "@caravel/domain"
import { Effect, Option } from "effect"

/** Moves a relay to another subdomain, unless it is there already. Returns whether it has moved. */
export const moveRelay = (id: string, subdomain: string) =>
  Effect.gen(function*() {
    const query = yield* Query
    const command = yield* Command
    const found = yield* query.relay(id)
    if (Option.exists(found, (relay) => relay.subdomain === subdomain)) return false
    yield* command.updateRelay({ id, subdomain })
    return true
  })
