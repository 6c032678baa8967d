/** The types of the methods, and how they decode their arguments. */
import {
  type Activity,
  ActivityPubSub,
  Command,
  type CommandInput,
  type CommandOf,
  type CommandRequest,
  type commands,
  type CommandTag,
  CreateRelay,
  CreateTenant,
  type DeactivateRelay,
  type FailureOf,
  type IdempotencyConflict,
  InputLimits,
  type Methods,
  type Payloads,
  Position,
  type RecordedEvent,
  type Relay,
  type RelayAlreadyExists,
  type RelayNotFound,
  type SetTenantPastDue,
  type StorageError,
  type SubdomainTaken,
  type SuccessOf,
  type Tenant,
  type TenantAlreadyExists,
  type TenantNotFound,
  type VersionConflict
} from "@caravel/domain"
import { type commandTable, decideAll, type Submission } from "@caravel/domain/adapter"
import { describe, expect, expectTypeOf, it } from "@effect/vitest"
import { Effect, Either, type ParseResult, type Redacted, type Schema } from "effect"
import { alice, createAlice, createOne, empty, url } from "../given.js"

type Service = typeof Command.Service
type CommandTable = typeof commandTable
type MethodName = Exclude<keyof Service, "submit" | "notify">
type Answer<Name extends MethodName> = ReturnType<Service[Name]>
type Any = VersionConflict | IdempotencyConflict | StorageError
type Logged<Error> = readonly [Activity, Error | Any | ParseResult.ParseError]
type Unlogged<Error> = readonly [void, Error | Any | ParseResult.ParseError]
type Outcome<Answer extends Effect.Effect<any, any>> = readonly [
  Effect.Effect.Success<Answer>,
  Effect.Effect.Error<Answer>
]

/** The types that the command table and the schemas determine. Those of the service are generated, so that editors can show them. */
type Payload<Tag extends CommandTag> = Omit<Schema.Schema.Encoded<typeof commands[Tag]>, "_tag">
type Parameter<Tag extends CommandTag, Name> = Name extends "tenant" | "relay"
  ? Omit<Payload<Tag>, CommandTable[Tag]["parameters"][number]>
  : Name extends keyof Payload<Tag> ? Payload<Tag>[Name]
  : never
type ParametersOf<Tag extends CommandTag> = CommandTable[Tag]["parameters"] extends readonly [infer First, infer Second]
  ? [Parameter<Tag, First>, Parameter<Tag, Second>]
  : [Parameter<Tag, CommandTable[Tag]["parameters"][0]>]

describe("types", () => {
  it("methods and payloads are as the command table and the schemas say", () => {
    expectTypeOf<Methods>().toEqualTypeOf<
      {
        readonly [Tag in CommandTag as Uncapitalize<Tag>]: (
          ...parameters: ParametersOf<Tag>
        ) => Effect.Effect<SuccessOf<CommandOf<Tag>>, FailureOf<CommandOf<Tag>> | ParseResult.ParseError>
      }
    >()
    expectTypeOf<Payloads>().branded.toEqualTypeOf<{ readonly [Tag in CommandTag]: Payload<Tag> }>()
  })

  it("a method's error type has only the errors that it can fail with", () => {
    expectTypeOf<{ [Name in MethodName]: Outcome<Answer<Name>> }>().toEqualTypeOf<{
      createTenant: Logged<TenantAlreadyExists>
      updateTenant: Logged<TenantNotFound>
      createRelay: Logged<TenantNotFound | RelayAlreadyExists | SubdomainTaken>
      updateRelay: Logged<RelayNotFound | SubdomainTaken>
      deactivateRelay: Logged<RelayNotFound>
      markRelayDelinquent: Logged<RelayNotFound>
      activateRelay: Logged<RelayNotFound>
      failRelaySync: Logged<RelayNotFound>
      completeRelaySync: Logged<RelayNotFound>
      deleteRelaySubscriptionItem: Unlogged<RelayNotFound>
      setRelaySubscriptionItem: Unlogged<RelayNotFound>
      setTenantSubscription: Unlogged<TenantNotFound>
      clearTenantSubscription: Unlogged<TenantNotFound>
      setTenantNwcError: Unlogged<TenantNotFound>
      clearTenantNwcError: Unlogged<TenantNotFound>
      setTenantPastDue: Unlogged<TenantNotFound>
      clearTenantPastDue: Unlogged<TenantNotFound>
    }>()
  })

  it("a method accepts the parameters that the table names", () => {
    expectTypeOf<Parameters<Service["failRelaySync"]>>().toEqualTypeOf<[
      resource: { readonly id: string },
      value: string
    ]>()
    expectTypeOf<Parameters<Service["completeRelaySync"]>>().toEqualTypeOf<[resource: string]>()
    expectTypeOf<Parameters<Service["setTenantSubscription"]>>().toEqualTypeOf<[resource: string, value: string]>()
    expectTypeOf<{ pubkey: string }>().toExtend<Parameters<Service["createTenant"]>[0]>()
    expectTypeOf<{}>().not.toExtend<Parameters<Service["createTenant"]>[0]>()
    expectTypeOf<{ id: string; tenant: string; subdomain: string }>().toExtend<Parameters<Service["createRelay"]>[0]>()
    expectTypeOf<{ id: string; tenant: string }>().not.toExtend<Parameters<Service["createRelay"]>[0]>()
    expectTypeOf<{ id: string; plan: null }>().toExtend<Parameters<Service["updateRelay"]>[0]>()
    expectTypeOf<{ id: string; subdomain: null }>().not.toExtend<Parameters<Service["updateRelay"]>[0]>()
  })

  it("methods accept model instances", () => {
    expectTypeOf<Tenant>().toExtend<Parameters<Service["createTenant"]>[0]>()
    expectTypeOf<Tenant>().toExtend<Parameters<Service["updateTenant"]>[0]>()
    expectTypeOf<Relay>().toExtend<Parameters<Service["createRelay"]>[0]>()
    expectTypeOf<Relay>().toExtend<Parameters<Service["updateRelay"]>[0]>()
    expectTypeOf<Relay>().toExtend<Parameters<Service["deactivateRelay"]>[0]>()
    expectTypeOf<Relay>().toExtend<Parameters<Service["failRelaySync"]>[0]>()
  })

  it("submit returns the result of each command, and fails with the errors of all", () => {
    const submit = (service: Service, one: CreateTenant, two: SetTenantPastDue, three: DeactivateRelay) =>
      service.submit([one, two, three])
    expectTypeOf(submit).returns.toExtend<Effect.Effect<readonly [Activity, void, Activity], any>>()
    expectTypeOf<Outcome<ReturnType<typeof submit>>[1]>().toEqualTypeOf<
      TenantAlreadyExists | TenantNotFound | RelayNotFound | Any | ParseResult.ParseError
    >()
    const many = (service: Service, commands: ReadonlyArray<CreateRelay>) => service.submit(commands)
    expectTypeOf(many).returns.toExtend<Effect.Effect<ReadonlyArray<Activity>, any>>()
  })

  it("submit accepts plain values and models with a tag, and refuses others", () => {
    const submit = ({ submit }: Service, relay: Relay, wallet: Redacted.Redacted) =>
      submit([
        { _tag: "CreateTenant", pubkey: alice },
        { _tag: "UpdateTenant", pubkey: alice, nwcUrl: wallet },
        { _tag: "CreateRelay", id: "one", tenant: alice, subdomain: "uno", plan: null },
        { ...relay, _tag: "UpdateRelay" },
        { _tag: "SetTenantSubscription", pubkey: alice, stripeSubscriptionId: "sub_1" },
        createOne
      ])
    expectTypeOf(submit).returns.toExtend<
      Effect.Effect<readonly [Activity, Activity, Activity, Activity, void, Activity | void], any>
    >()
    expectTypeOf<{ _tag: "CreateRelay"; id: string; tenant: string; subdomain: string }>().toExtend<CommandInput>()
    expectTypeOf<{ _tag: "CreateRelay"; id: string; tenant: string }>().not.toExtend<CommandInput>()
    expectTypeOf<{ _tag: "CreateRely"; id: string; tenant: string; subdomain: string }>().not.toExtend<CommandInput>()
    expectTypeOf<{ id: string }>().not.toExtend<CommandInput>()
    expectTypeOf<null>().not.toExtend<CommandInput>()
    expectTypeOf<CommandRequest>().toExtend<CommandInput>()
  })

  it("a method and submit refuse the same values", () => {
    const refused = ({ createRelay, setTenantSubscription, submit }: Service) => {
      // @ts-expect-error the subdomain is missing
      void createRelay({ id: "one", tenant: alice })
      // @ts-expect-error the subdomain is missing
      void submit([{ _tag: "CreateRelay", id: "one", tenant: alice }])
      // @ts-expect-error an id is a text
      void createRelay({ id: 1, tenant: alice, subdomain: "uno" })
      // @ts-expect-error an id is a text
      void submit([{ _tag: "CreateRelay", id: 1, tenant: alice, subdomain: "uno" }])
      // @ts-expect-error it has no default
      void setTenantSubscription(alice, null)
      // @ts-expect-error it has no default
      void submit([{ _tag: "SetTenantSubscription", pubkey: alice, stripeSubscriptionId: null }])
    }
    expectTypeOf(refused).returns.toBeVoid()
  })
})

const append = ({ commands }: Submission) =>
  Either.map(
    decideAll(empty, commands),
    ({ events }) => events.map((event, n): RecordedEvent => ({ ...event, position: Position.make(n + 1) }))
  )

const make = (appended: Array<ReadonlyArray<CommandRequest>>) =>
  Effect.map(ActivityPubSub, (notify) =>
    Command.make({
      notify,
      limits: InputLimits.defaults,
      append: (unit) =>
        Effect.suspend(() => {
          appended.push(unit.commands.map(([command]) => command))
          return append(unit)
        })
    })).pipe(Effect.provideService(ActivityPubSub, { subscribe: Effect.never }))

describe("Command.make", () => {
  it.effect("appends each decoded command once", () =>
    Effect.gen(function*() {
      const appended: Array<ReadonlyArray<CommandRequest>> = []
      const command = yield* make(appended)
      const activity = yield* command.createTenant({ pubkey: alice })
      expect(activity).toMatchObject({ activityType: "create_tenant", resourceId: alice, position: 1 })
      expect(appended).toEqual([[createAlice]])
      const results = yield* command.submit([createAlice, createOne] as [CreateTenant, CreateRelay])
      expect(results.map(({ activityType }) => activityType)).toEqual(["create_tenant", "create_relay"])
      expect(appended).toEqual([[createAlice], [createAlice, createOne]])
    }))

  it.effect("methods and submit decode plain values alike", () =>
    Effect.gen(function*() {
      const appended: Array<ReadonlyArray<CommandRequest>> = []
      const command = yield* make(appended)
      const tenant = { pubkey: alice, nwcUrl: url }
      const relay = { id: "one", tenant: alice, subdomain: "uno", plan: null, pushEnabled: true }
      yield* command.createTenant(tenant)
      yield* Effect.flip(command.createRelay(relay))
      yield* command.submit([{ _tag: "CreateTenant", ...tenant }])
      yield* Effect.flip(command.submit([{ _tag: "CreateRelay", ...relay }]))
      expect(appended.slice(2)).toEqual(appended.slice(0, 2))
      expect(appended.flat().map(({ constructor }) => constructor)).toEqual([
        CreateTenant,
        CreateRelay,
        CreateTenant,
        CreateRelay
      ])
    }))

  it.effect("appends nothing if the input is malformed or empty", () =>
    Effect.gen(function*() {
      const appended: Array<ReadonlyArray<CommandRequest>> = []
      const command = yield* make(appended)
      expect((yield* Effect.flip(command.createTenant({ pubkey: "short" })))._tag).toBe("ParseError")
      expect((yield* Effect.flip(command.createTenant({ pubkey: alice, stripeCustomerId: "\0" })))._tag).toBe(
        "ParseError"
      )
      expect(yield* command.submit([])).toEqual([])
      expect(appended).toEqual([])
    }))
})
