// With which errors calls fail is what is looked at here.
// @effect-diagnostics anyUnknownInErrorContext:off
/** Input from programs: commands with what they are sent with, and queries, on memory and SQLite alike. */
import { Command, type CommandInput, commands, type CommandTag, Journal, Query } from "@caravel/domain"
import { parametersOf, payloadOf, storableText } from "@caravel/domain/adapter"
import { Memory } from "@caravel/memory"
import { Sqlite } from "@caravel/sql"
import {
  Cause,
  Context,
  Effect,
  Exit,
  FastCheck as fc,
  Layer,
  Option,
  Predicate,
  Record as Rec,
  Redacted,
  type Scope
} from "effect"
import { join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import type { Failure } from "../Kind.js"
import * as Entrance from "./Entrance.js"
import { payloadsOf, secret, tagged } from "./Payloads.js"
import { edited, values } from "./Values.js"

type Services = Layer.Layer.Success<typeof Memory.layer>

/** The errors that callers are told of. */
const errors = [
  ...["ParseError", "TenantAlreadyExists", "TenantNotFound", "RelayAlreadyExists", "RelayNotFound", "SubdomainTaken"],
  ...["VersionConflict", "IdempotencyConflict"]
]

/** The exit of a call, in a form that can be compared between storages. */
const answered = (exit: Exit.Exit<unknown, unknown>): { readonly wrong: string } | { readonly answer: string } =>
  Exit.match(exit, {
    onSuccess: () => ({ answer: "accepted" }),
    onFailure: (cause) => {
      const error = Option.getOrUndefined(Cause.failureOption(cause))
      if (!Predicate.hasProperty(error, "_tag") || !errors.includes(String(error._tag))) {
        return { wrong: `not a typed refusal: ${Cause.pretty(cause)}` }
      }
      const shown = `${String(error)} ${JSON.stringify(error)} ${Cause.pretty(cause)}`
      return shown.includes(secret)
        ? { wrong: `the error shows the wallet URL: ${shown}` }
        : { answer: String(error._tag) }
    }
  })

/** A call of a method, which also returns what is wrong after it. */
type Call = (
  services: Context.Context<Services>
) => Effect.Effect<{ readonly wrong: string } | { readonly answer: string }>

/** A value as the row has it. Reporting an error never fails because of its text, which is stored as far as it can be. */
const stored = (field: string, value: unknown) =>
  Redacted.isRedacted(value)
    ? Redacted.value(value)
    : /Error$/.test(field) && typeof value === "string"
    ? storableText(value, 10_000)
    : value

/** Finds a field whose value in the row is not the one that was sent. */
const differs = (tag: CommandTag, sent: Record<string, unknown>, services: Context.Context<Services>) =>
  Effect.gen(function*() {
    const query = Context.get(services, Query)
    const found: Option.Option<Record<string, any>> = "pubkey" in commands[tag].fields
      ? yield* query.tenant(String(sent["pubkey"]))
      : yield* query.relay(String(sent["id"]))
    if (Option.isNone(found)) return "the row is missing"
    const row = found.value
    const field = Object.keys(commands[tag].fields).find((name) =>
      name !== "_tag" && sent[name] !== undefined && sent[name] !== null &&
      !isDeepStrictEqual(stored(name, row[name]), stored(name, sent[name]))
    )
    return field === undefined
      ? undefined
      : `${field} is ${JSON.stringify(stored(field, row[field]))}, not ${JSON.stringify(sent[field])}`
  })

/**
 * Calls `execute`, and looks whether the journal grew by `events` if it was accepted, and not at all if it was not. A
 * key that is repeated has been answered before.
 */
const checked = (
  services: Context.Context<Services>,
  execute: Effect.Effect<unknown, unknown>,
  { events, hasKey }: { readonly events: number; readonly hasKey: boolean },
  lookAgain: Effect.Effect<string | void, unknown>
) =>
  Effect.gen(function*() {
    const { head } = Context.get(services, Journal)
    const before = yield* head
    const exit = yield* Effect.exit(execute)
    const answer = answered(exit)
    if ("wrong" in answer) return answer
    const grown = (yield* head) - before
    if (!(grown === 0 && hasKey) && grown !== (answer.answer === "accepted" ? events : 0)) {
      return { wrong: `${answer.answer}, and the journal grew by ${grown}` }
    }
    const wrong = answer.answer === "accepted" && grown > 0 ? yield* lookAgain : undefined
    return wrong === undefined ? answer : { wrong }
  }).pipe(Effect.orDie)

const rarely = <A>(some: fc.Arbitrary<A>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: some })

/** What a command is sent with. */
const contexts = fc.record({
  key: rarely(fc.oneof(fc.constantFrom("1", "2"), values)),
  metadata: rarely(edited(fc.constant({ actor: "me", correlationId: "1" }), values)),
  expected: rarely(fc.oneof(fc.nat(3), values))
})

type SentWith = typeof contexts extends fc.Arbitrary<infer A> ? A : never

const sentWith = ({ expected, key, metadata }: SentWith) => (call: Effect.Effect<unknown, unknown>) => {
  let sent = call
  if (metadata !== undefined) sent = Command.withMetadata(metadata as {})(sent)
  if (key !== undefined) sent = Command.withIdempotencyKey(key as string)(sent)
  if (expected !== undefined) sent = Command.expecting(expected as number)(sent)
  return sent
}

/** A call, with what a finding shows of it. */
interface Input {
  readonly called: string
  readonly with: unknown
  readonly call: Call
}

/** The commands with most fields are sent more often. */
const tags = [...Rec.keys(commands), "CreateRelay", "UpdateRelay", "UpdateRelay", "UpdateTenant"] as const

const methodCalls: fc.Arbitrary<Input> = fc.constantFrom(...tags).chain((tag) =>
  fc.tuple(edited(payloadsOf(tag), values), contexts).map(([sent, context]): Input => {
    const name = `${tag[0]!.toLowerCase()}${tag.slice(1)}` as "createTenant"
    return {
      called: name,
      with: [sent, context],
      call: (services) => {
        const parameters = Predicate.isRecord(sent) ? parametersOf(tag)(sent) : [sent]
        const method: (...args: ReadonlyArray<any>) => Effect.Effect<unknown, unknown> =
          Context.get(services, Command)[name]
        return checked(
          services,
          Effect.suspend(() => method(...parameters)).pipe(sentWith(context)),
          { events: 1, hasKey: context.key !== undefined },
          Effect.suspend(() => differs(tag, payloadOf(tag)(parameters) as Record<string, unknown>, services))
        )
      }
    }
  })
)

const submitCalls: fc.Arbitrary<Input> = fc.tuple(
  edited(fc.array(tagged, { maxLength: 4 }), values),
  contexts
).map(([list, context]): Input => ({
  called: "submit",
  with: [list, context],
  call: (services) =>
    checked(
      services,
      Effect.suspend(() => Context.get(services, Command).submit(list as ReadonlyArray<CommandInput>)).pipe(
        sentWith(context)
      ),
      { events: Array.isArray(list) ? list.length : 0, hasKey: context.key !== undefined },
      Effect.void
    )
}))

const filters = fc.record({
  after: fc.oneof(fc.nat(9), fc.constant("a".repeat(64))),
  upTo: fc.nat(9),
  limit: fc.nat(5),
  tenant: fc.constant("a".repeat(64)),
  activityType: fc.constant("create_relay"),
  resourceId: fc.constant("a"),
  status: fc.constantFrom("active", ["active", "inactive"]),
  plan: fc.constant("free"),
  synced: fc.boolean(),
  pastDue: fc.boolean()
}, { requiredKeys: [] })

const queries = ["tenant", "relay", "relayBySubdomain", "relaysOf", "findTenants", "findRelays", "activity"] as const

const queryCalls: fc.Arbitrary<Input> = fc.tuple(
  fc.constantFrom(...queries),
  fc.oneof(values, edited(filters, values), filters)
).map(([name, value]): Input => ({
  called: name,
  with: value,
  call: (services) => {
    const read: (value: any) => Effect.Effect<unknown, unknown> = Context.get(services, Query)[name]
    return checked(services, Effect.suspend(() => read(value)), { events: 0, hasKey: false }, Effect.void)
  }
}))

/** Both storages answer alike, and as they should. */
const open = (directory: string): Effect.Effect<Entrance.Open<Input>, Failure, Scope.Scope> =>
  Effect.map(
    Effect.all([
      Layer.build(Memory.layer),
      Layer.build(Sqlite.layer({ filename: join(directory, "services.db"), synchronous: "normal" }))
    ]),
    ([memory, sqlite]) => ({
      inputs: fc.oneof(
        { weight: 5, arbitrary: methodCalls },
        { weight: 2, arbitrary: submitCalls },
        { weight: 2, arbitrary: queryCalls }
      ),
      answer: ({ call }) =>
        Effect.gen(function*() {
          const inMemory = yield* call(memory)
          if ("wrong" in inMemory) return { wrong: `memory: ${inMemory.wrong}` }
          const onSqlite = yield* call(sqlite)
          if ("wrong" in onSqlite) return { wrong: `SQLite: ${onSqlite.wrong}` }
          if (inMemory.answer !== onSqlite.answer) {
            return { wrong: `memory answers ${inMemory.answer}, and SQLite ${onSqlite.answer}` }
          }
          return inMemory.answer === "accepted" ? 1 : 0
        })
    })
  )

/** Calls of the services by programs. */
export const services: Entrance.Entrance = Entrance.make({
  name: "calls of services",
  counts: { short: 2_000, long: 100_000 },
  open
})
