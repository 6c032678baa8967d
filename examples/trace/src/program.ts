/** A program that is traced: a sign-up, and the consumer that welcomes new tenants. */
import { Command } from "@caravel/domain"
import { Consumer } from "@caravel/pubsub"
import { Console, Effect } from "effect"

/** What a caller does, such as the handler of an HTTP request. */
export const signUp = Effect.fn("sign up")(function*(pubkey: string) {
  const command = yield* Command
  return yield* command.createTenant({ pubkey })
})

/** Welcomes each new tenant. */
export const Welcoming = Consumer.layer({
  name: "welcoming",
  from: "beginning",
  filter: { activityType: ["create_tenant"] },
  handle: ({ tenant }) => Console.log(`welcome, ${tenant}`).pipe(Effect.withSpan("send a welcome"))
})
