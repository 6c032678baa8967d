/** A program that asks for services. Whether they are beside it or at a host is decided by the layer. */
import { Command, Query } from "@caravel/domain"
import { Effect, Option } from "effect"

/** A new tenant with its first relay: both, or none. Returns the relay. */
export const signUp = Effect.fn("signUp")(function*(tenant: string, subdomain: string) {
  const command = yield* Command
  const query = yield* Query
  const id = `relay-${subdomain}`
  yield* command.submit([
    { _tag: "CreateTenant", pubkey: tenant },
    { _tag: "CreateRelay", id, tenant, subdomain, plan: "basic" }
  ])
  // Once a command has returned, queries see what it did.
  return Option.getOrThrow(yield* query.relay(id))
})
