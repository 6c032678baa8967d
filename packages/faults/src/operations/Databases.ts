/** Databases that operations start from, and what must hold of each. */
import { Command, CreateRelay, defaultRelayOptions, Journal, Pubkey, Query, RelayId, Subdomain } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { Effect, Logger, LogLevel, type Scope, Stream } from "effect"
import { randomUUID } from "node:crypto"
import { Violation } from "./Operation.js"

export const pubkey = Pubkey.make("a".repeat(64))

/** Runs an effect on a database, which is open until the effect ends. */
export const withDatabase = <A, E>(
  filename: string,
  effect: Effect.Effect<A, E, Sqlite.Services | Scope.Scope>,
  options: Omit<Sqlite.Options, "filename"> = { synchronous: "normal" }
) =>
  Effect.scoped(Effect.provide(effect, Sqlite.layer({ filename, ...options }))).pipe(
    // Standard output is for the report.
    Logger.withMinimumLogLevel(LogLevel.None)
  )

/** Creates relays in one transaction, with enough text for several pages. */
export const createRelays = (prefix: string, count: number) =>
  Effect.flatMap(Command, (command) =>
    command.submit(Array.from({ length: count }, (_, n) =>
      new CreateRelay({
        ...defaultRelayOptions,
        id: RelayId.make(`${prefix}-${n}`),
        tenant: pubkey,
        subdomain: Subdomain.make(`${prefix}-${n}`),
        infoDescription: prefix.repeat(100)
      })) as [CreateRelay, ...Array<CreateRelay>]))

/** A database with a tenant and this number of relays. Its head is one more. */
export const create = (filename: string, relays: number) =>
  withDatabase(
    filename,
    Effect.gen(function*() {
      yield* (yield* Command).createTenant({ pubkey, nwcUrl: "nostr+walletconnect://created" })
      yield* createRelays("r", relays)
    })
  )

export const must = (holds: boolean, message: string): Effect.Effect<void, Violation> =>
  holds ? Effect.void : Effect.fail(new Violation({ message }))

/** Fails if the database's journal, rows, other tables or pages are damaged. */
export const mustBeSound = Effect.gen(function*() {
  const journal = yield* Journal
  yield* Stream.runForEach(
    journal.verify,
    ({ differences }) => must(differences.length === 0, `verification finds ${JSON.stringify(differences)}`)
  )
})

/** Fails if no command can be executed. */
export const mustWork = Effect.gen(function*() {
  const command = yield* Command
  const head = yield* (yield* Journal).head
  const tenant = randomUUID().replaceAll("-", "").repeat(2)
  const { position } = yield* command.createTenant({ pubkey: tenant })
  yield* must(position === head + 1, `after position ${head}, a command got position ${position}`)
  yield* (yield* Query).tenant(Pubkey.make(tenant))
})

/** Checks a database, makes it work, and returns the head that it had. */
export const check = (filename: string, options?: Omit<Sqlite.Options, "filename">) =>
  withDatabase(
    filename,
    Effect.gen(function*() {
      yield* mustBeSound
      const head = yield* (yield* Journal).head
      yield* mustWork
      return head
    }),
    options
  )
