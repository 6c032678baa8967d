/** Callers that write at a steady rate, to a fixed number of relays. */
import { Command, type CommandService } from "@caravel/domain"
import { Effect, Random } from "effect"

const tenant = "a".repeat(64)

/** How many relays there are. */
export const relays = 1_000

/** How many callers write, each with a pause after each command. */
const callers = 64
const pause = "40 millis"

const idOf = (n: number) => `r${n}`

/** A tenant and its relays. */
export const created = Effect.gen(function*() {
  const command = yield* Command
  yield* command.createTenant({ pubkey: tenant })
  yield* Effect.forEach(
    Array.from({ length: relays }, (_, n) => idOf(n)),
    (id) => command.createRelay({ id, tenant, subdomain: id }),
    { concurrency: "unbounded", discard: true }
  )
})

/** One command on a relay, and a pause. */
export const write = (command: CommandService, n: number) =>
  Effect.flatMap(Random.nextIntBetween(0, 4), (kind) =>
    kind === 0
      ? Effect.asVoid(command.failRelaySync({ id: idOf(n) }, "it failed"))
      : kind === 1
      ? Effect.asVoid(command.deactivateRelay({ id: idOf(n) }))
      : kind === 2
      ? Effect.asVoid(command.activateRelay({ id: idOf(n) }))
      : Effect.asVoid(command.completeRelaySync(idOf(n)))).pipe(Effect.zipLeft(Effect.sleep(pause)))

/** The callers. `onCommand` is called after each command. */
export const writing = (onCommand: () => void) =>
  Effect.flatMap(Command, (command) =>
    Effect.all(
      Array.from({ length: callers }, () =>
        Random.nextIntBetween(0, relays).pipe(
          Effect.flatMap((n) => write(command, n)),
          Effect.tap(() => Effect.sync(onCommand)),
          Effect.forever
        )),
      { concurrency: "unbounded", discard: true }
    ))
