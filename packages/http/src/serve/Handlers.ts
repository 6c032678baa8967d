/** The handlers of the API over the services. */
import {
  type Activity,
  Command,
  type CommandRequest,
  commands,
  type CommandTag,
  type FailureOf,
  Journal,
  type Relay,
  RelayNotFound,
  type ResourceType,
  type Tenant,
  TenantNotFound
} from "@caravel/domain"
import { commandTable, namesCommand, parametersOf } from "@caravel/domain/adapter"
import { Consumer } from "@caravel/pubsub"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApp from "@effect/platform/HttpApp"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import { Effect, Option, type ParseResult, Predicate, Record as Rec, Schema, String as Str } from "effect"
import { Api } from "../api/Api.js"
import { type CommandHeaders, sentWith, VersionTag } from "../api/CommandHeaders.js"
import * as Page from "../api/Page.js"
import type * as Parameters from "../api/Parameters.js"
import { ConsumersBehind, InvalidRequest } from "../api/RequestError.js"
import * as View from "../api/View.js"
import * as ActivityJson from "./ActivityJson.js"
import * as Body from "./Body.js"
import * as EventStream from "./EventStream.js"
import { valid } from "./Failure.js"
import * as Own from "./Own.js"
import * as Prometheus from "./Prometheus.js"
import { secretsOf } from "./TenantSecrets.js"
import * as VerifyStream from "./VerifyStream.js"

interface Sent {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly headers: typeof CommandHeaders.Type
}

type Refused = FailureOf<CommandRequest> | ParseResult.ParseError

type Method = (...parameters: ReadonlyArray<unknown>) => Effect.Effect<Activity | void, Refused>

/** A field that no command has is refused: it would be ignored, and is a typing error most of the time. */
const knownFields = (input: unknown, tag: CommandTag, path: string) => {
  const known = commands[tag].fields
  const unknown = Predicate.isRecord(input) ? Rec.keys(input).filter((name) => !Object.hasOwn(known, name)) : []
  return unknown.map((name) => ({ path: `${path}${name}`, message: `${tag} has no such field` }))
}

const objectBody = Effect.fnUntraced(function*(request: HttpServerRequest.HttpServerRequest, tag: CommandTag) {
  const body = yield* Body.json(request)
  if (!Predicate.isRecord(body)) {
    return yield* new InvalidRequest({ issues: [{ path: "", message: "Expected an object" }] })
  }
  const issues = knownFields(body, tag, "")
  return issues.length > 0 ? yield* new InvalidRequest({ issues }) : body
})

/** The same response as the framework's, which encodes by the schema of the endpoint and takes 60 µs. */
const responseOf = (activity: Activity | void) =>
  activity === undefined
    ? HttpServerResponse.empty()
    : HttpServerResponse.text(ActivityJson.of(activity), { contentType: "application/json" })

/** Sends one command: the body is its payload. */
const execute = (tag: CommandTag) => {
  const name = Str.uncapitalize(tag)
  const parameters = parametersOf(tag)
  return ({ headers, request }: Sent) =>
    Effect.gen(function*() {
      const payload = yield* objectBody(request, tag)
      yield* Own.permitted([{ ...payload, _tag: tag }])
      const command = yield* Command
      return responseOf(yield* (command[name] as Method)(...parameters(payload)))
    }).pipe(sentWith(headers), valid)
}

/** Sends a list of commands: the body is an array of them, each with its `_tag`. */
const submit = ({ headers, request }: Sent) =>
  Effect.gen(function*() {
    const body = yield* Body.json(request)
    const issues = Array.isArray(body)
      ? body.flatMap((input, index) => namesCommand(input) ? knownFields(input, input._tag, `${index}.`) : [])
      : []
    if (issues.length > 0) return yield* new InvalidRequest({ issues })
    if (Array.isArray(body)) yield* Own.permitted(body)
    const command = yield* Command
    const results = yield* command.submit(body as ReadonlyArray<CommandRequest>)
    return results.map((result) => result ?? null)
  }).pipe(sentWith(headers), valid)

/**
 * The seventeen commands and lists of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerCommands = HttpApiBuilder.group(Api, "commands", (handlers) =>
  Rec.keys(commands).reduce(
    // Each step handles one name of the union of all, which the types of the handlers cannot follow.
    (handlers, tag) => handlers.handleRaw(Str.uncapitalize(tag) as "createTenant", execute(tag) as any) as any,
    handlers.handleRaw("submit", submit)
  ) as unknown as HttpApiBuilder.Handlers<never, never, Command | Own.OwnQuery>)

/** Sets the `ETag` of the response to a version. */
const withETag = Effect.fnUntraced(function*<A extends { readonly version: number }>(view: A) {
  const tag = yield* Effect.orDie(Schema.encode(VersionTag)(view.version))
  yield* HttpApp.appendPreResponseHandler((_, response) =>
    Effect.succeed(HttpServerResponse.setHeader(response, "etag", tag))
  )
  return view
})

const relayView = (relay: Relay) => View.of("relay", relay)
const tenantView = (tenant: Tenant) => View.of("tenant", tenant)

const relaysPage = ({ cursor, limit, ...filter }: typeof Parameters.Relays.Type) =>
  Effect.gen(function*() {
    const query = yield* Own.query
    const relays = filter.subdomain === undefined
      ? yield* query.findRelays({ ...filter, after: cursor, limit: limit + 1 })
      : Option.toArray(yield* query.relayBySubdomain(filter.subdomain))
    return Page.of(relays, limit, relayView, ({ id }) => id)
  }).pipe(valid)

/** Activities have the type of their resource by their own type. */
const typesOf = (resource: ResourceType) =>
  Rec.values(commandTable).flatMap((row) => row.resource === resource && row.activity !== null ? [row.activity] : [])

const activityPage = ({ activityType, resourceType, ...filter }: typeof Parameters.Activities.Type) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const query = yield* Own.query
    const types = resourceType === undefined
      ? activityType
      : typesOf(resourceType).filter((type) => activityType?.includes(type) ?? true)
    // Read first: if the journal is restored in between, the positions do not fit the epoch, which a feed notices.
    const epoch = yield* journal.epoch
    return { items: yield* query.activity({ ...filter, activityType: types }), epoch }
  }).pipe(valid)

/**
 * Tenants, relays and the activity log.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerQueries = HttpApiBuilder.group(Api, "queries", (handlers) =>
  handlers
    .handle("tenants", ({ urlParams: { cursor, limit, ...filter } }) =>
      Effect.gen(function*() {
        const query = yield* Own.query
        const tenants = yield* query.findTenants({ ...filter, after: cursor, limit: limit + 1 })
        return Page.of(tenants, limit, tenantView, ({ pubkey }) => pubkey)
      }).pipe(valid))
    .handle("tenant", ({ path: { pubkey } }) =>
      Effect.gen(function*() {
        const found = yield* (yield* Own.query).tenant(pubkey)
        if (Option.isNone(found)) return yield* new TenantNotFound({ pubkey })
        return yield* withETag(tenantView(found.value))
      }).pipe(valid))
    .handle("secretsOf", ({ path: { pubkey } }) => secretsOf(pubkey).pipe(valid))
    .handle("relaysOf", ({ path, urlParams }) => relaysPage({ ...urlParams, tenant: path.pubkey }))
    .handle("relays", ({ urlParams }) => relaysPage(urlParams))
    .handle("relay", ({ path: { id } }) =>
      Effect.gen(function*() {
        const found = yield* (yield* Own.query).relay(id)
        if (Option.isNone(found)) return yield* new RelayNotFound({ id })
        return yield* withETag(relayView(found.value))
      }).pipe(valid))
    .handle("activity", ({ urlParams }) => activityPage(urlParams))
    .handleRaw("activityStream", ({ headers, request, urlParams }) =>
      EventStream.response(request.headers["accept"] ?? "", headers["last-event-id"] ?? urlParams.since, urlParams)))

/**
 * The upkeep of the database.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerUpkeep = HttpApiBuilder.group(
  Api,
  "upkeep",
  (handlers) => handlers.handleRaw("verify", () => VerifyStream.response)
)

/**
 * What a monitor scrapes.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMonitoring = HttpApiBuilder.group(
  Api,
  "monitoring",
  (handlers) => handlers.handle("metrics", () => Prometheus.text)
)

/** How many activities a consumer may be behind in a host that is ready. */
const notBehind = (maxLag: number) =>
  Effect.gen(function*() {
    if (maxLag === Infinity) return
    const behind = (yield* Consumer.list).filter(({ activities }) => activities > maxLag)
    if (behind.length > 0) {
      const consumers = behind.map(({ activities, name }) => ({ name, activities }))
      return yield* new ConsumersBehind({ consumers })
    }
  })

/**
 * What operators and proxies ask for. Once commits are no longer followed, the journal's head cannot be read either.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHost = (maxLag: number) =>
  HttpApiBuilder.group(Api, "host", (handlers) =>
    handlers
      .handle("healthz", () => Effect.succeed({ status: "alive" as const }))
      .handle("readyz", () =>
        Effect.flatMap(Journal, ({ head }) => head).pipe(
          Effect.zipRight(notBehind(maxLag)),
          Effect.as({ status: "ready" as const })
        ))
      .handle("openapi", () => Effect.sync(() => OpenApi.fromApi(Api))))
