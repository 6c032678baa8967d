/**
 * The HTTP API, derived from the commands: a new command has its route, its client method and its place in the OpenAPI
 * document without a change here.
 */
import {
  Activity,
  type CommandOf,
  type CommandRequest,
  commands,
  type CommandTag,
  Epoch,
  type FailureOf,
  Pubkey,
  RelayId,
  RelayNotFound,
  StorageError,
  type SuccessOf,
  TenantNotFound
} from "@caravel/domain"
import { commandTable } from "@caravel/domain/adapter"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as OpenApi from "@effect/platform/OpenApi"
import { Array as Arr, Option, Order, Record as Rec, Schema, SchemaAST, String as Str, Struct } from "effect"
import { Authentication, withNostr } from "./Authentication.js"
import { CommandHeaders } from "./CommandHeaders.js"
import { ConsumersGroup } from "./ConsumersGroup.js"
import { HistoryGroup } from "./HistoryGroup.js"
import { JournalGroup } from "./JournalGroup.js"
import * as Page from "./Page.js"
import * as Parameters from "./Parameters.js"
import * as Problem from "./Problem.js"
import * as RequestError from "./RequestError.js"
import * as View from "./View.js"

const activity = Activity.annotations({ identifier: "Activity" })
const storageError = Problem.schema(StorageError)

/** What a request with a body can fail with, besides what it asks for. */
const bodyError = Schema.Union(
  Problem.schema(RequestError.BodyTooLarge),
  Problem.schema(RequestError.UnsupportedMediaType)
)

type Payload<Command> = Command extends { readonly fields: infer Fields extends Schema.Struct.Fields }
  ? Schema.Simplify<Omit<Schema.Struct.Type<Fields>, "_tag">>
  : never

type CommandEndpoint<Tag extends CommandTag> = HttpApiEndpoint.HttpApiEndpoint<
  Uncapitalize<Tag>,
  "POST",
  never,
  never,
  Payload<typeof commands[Tag]>,
  typeof CommandHeaders.Type,
  SuccessOf<CommandOf<Tag>>,
  FailureOf<CommandOf<Tag>> | typeof bodyError.Type
>

const descriptionOf = (tag: CommandTag) => {
  const { activity } = commandTable[tag]
  const description = SchemaAST.getDescriptionAnnotation(SchemaAST.typeAST(commands[tag].ast))
  return `${Option.getOrElse(description, () => "")} ${activity === null ? "Logs no activity." : `Logs ${activity}.`}`
}

// Sorted, so that the document is the same whatever bundles it: a module's exports have another order in each bundler.
const tags = Arr.sort(Rec.keys(commands), Order.string)

const errorsOf = (...tags: ReadonlyArray<CommandTag>) =>
  Schema.Union(...Arr.dedupe(tags.flatMap(Problem.errorsOf)).map(Problem.schema), bodyError)

const commandEndpoint = <Tag extends CommandTag>(tag: Tag) => {
  const path = `/commands/${Str.snakeToKebab(Str.camelToSnake(Str.uncapitalize(tag)))}` as const
  const { activity: logged } = commandTable[tag]
  const payload = Schema.Struct(Struct.omit(commands[tag].fields as Schema.Struct.Fields, "_tag"))
  return HttpApiEndpoint.post(Str.uncapitalize(tag), path)
    .setPayload(payload.annotations({ identifier: `${tag}Payload` }))
    .setHeaders(CommandHeaders)
    .addSuccess(logged === null ? Schema.Void : activity)
    .addError(errorsOf(tag))
    .annotate(OpenApi.Description, descriptionOf(tag)) as unknown as CommandEndpoint<Tag>
}

/** Each command, under its name, and lists of commands. */
const Commands = tags.reduce(
  (group, tag) => group.add(commandEndpoint(tag)),
  HttpApiGroup.make("commands") as unknown as HttpApiGroup.HttpApiGroup<"commands", any>
) as unknown as HttpApiGroup.HttpApiGroup<
  "commands",
  { readonly [Tag in CommandTag]: CommandEndpoint<Tag> }[CommandTag]
>

const submit = HttpApiEndpoint.post("submit", "/submit")
  .setPayload(Schema.Array(
    Schema.Union(...tags.map((tag) => commands[tag].annotations({ identifier: tag }))) as Schema.Schema<any>
  ))
  .setHeaders(CommandHeaders)
  .addSuccess(Schema.Array(Schema.NullOr(activity)))
  .addError(errorsOf(...tags) as Schema.Schema<FailureOf<CommandRequest> | typeof bodyError.Type>)
  .annotate(
    OpenApi.Description,
    "Executes commands in order, in one transaction: all of them or none. Answers the activity of each, or null."
  )

const tenant = View.schema("tenant")
const relay = View.schema("relay")
const pubkey = HttpApiSchema.param("pubkey", Pubkey)

/** Documents the `ETag` of a response, which `HttpApi` has no place for. */
const withETag = (operation: Record<string, any>) => ({
  ...operation,
  responses: {
    ...operation["responses"],
    200: {
      ...operation["responses"][200],
      headers: { ETag: { description: "the version, such as \"3\"", schema: { type: "string" } } }
    }
  }
})

/** Documents the other form of the stream. */
const asLines = (operation: Record<string, any>) => {
  operation["responses"][200].content["application/x-ndjson"] = { schema: { type: "string" } }
  return operation
}

/** The current state, and the activity log. */
const Queries = HttpApiGroup.make("queries")
  .add(
    HttpApiEndpoint.get("tenants", "/tenants")
      .setUrlParams(Parameters.Tenants)
      .addSuccess(Page.schema(tenant))
      .annotate(OpenApi.Description, "Tenants, ordered by pubkey.")
  )
  .add(
    HttpApiEndpoint.get("tenant")`/tenants/${pubkey}`
      .addSuccess(tenant)
      .addError(Problem.schema(TenantNotFound))
      .annotate(OpenApi.Description, "A tenant. Of its wallet URL you see only whether it is set.")
      .annotate(OpenApi.Transform, withETag)
  )
  .add(
    HttpApiEndpoint.get("secretsOf")`/tenants/${pubkey}/secrets`
      .addSuccess(View.secrets("tenant"))
      .addError(Problem.schema(TenantNotFound))
      .annotate(
        OpenApi.Description,
        "The secrets of a tenant, only for a credential with the grant secrets. Each read is logged with its actor."
      )
  )
  .add(
    HttpApiEndpoint.get("relaysOf")`/tenants/${pubkey}/relays`
      .setUrlParams(Parameters.RelaysOfTenant)
      .addSuccess(Page.schema(relay))
      .annotate(OpenApi.Description, "The relays of a tenant, ordered by id.")
  )
  .add(
    HttpApiEndpoint.get("relays", "/relays")
      .setUrlParams(Parameters.Relays)
      .addSuccess(Page.schema(relay))
      .annotate(
        OpenApi.Description,
        "Relays, ordered by id. With a subdomain, the relay that has it, whatever the other parameters are."
      )
  )
  .add(
    HttpApiEndpoint.get("relay")`/relays/${HttpApiSchema.param("id", RelayId)}`
      .addSuccess(relay)
      .addError(Problem.schema(RelayNotFound))
      .annotate(OpenApi.Description, "A relay.")
      .annotate(OpenApi.Transform, withETag)
  )
  .add(
    HttpApiEndpoint.get("activity", "/activity")
      .setUrlParams(Parameters.Activities)
      .addSuccess(Schema.Struct({
        items: Schema.Array(activity),
        epoch: Epoch.annotations({ description: "the timeline of the positions; keep it with a position" })
      }))
      .annotate(OpenApi.Description, "The activity log after a position, oldest first.")
  )
  .add(
    HttpApiEndpoint.get("activityStream", "/activity/stream")
      .setUrlParams(Parameters.Stream)
      .setHeaders(Schema.Struct({
        "last-event-id": Schema.optionalWith(
          Parameters.Since.annotations({ description: "Continues after this event. It takes precedence over since." }),
          { exact: true }
        )
      }))
      .addSuccess(HttpApiSchema.Text({ contentType: "text/event-stream" }))
      .annotate(
        OpenApi.Description,
        "Activities as server-sent events: those after since, or else from now on, and then those to come, for ever. The " +
          "id of an event is its epoch and position, its name the type of the activity. If the stream cannot go on, it " +
          "ends with an event that is called problem. Accept: application/x-ndjson asks for JSON lines."
      )
      .annotate(OpenApi.Transform, asLines)
  )
  .addError(storageError)

/** The upkeep of the database. */
const Upkeep = HttpApiGroup.make("upkeep").add(
  HttpApiEndpoint.post("verify", "/verify")
    .addSuccess(HttpApiSchema.Text({ contentType: "application/x-ndjson" }))
    .annotate(
      OpenApi.Description,
      "Compares every row with the journal. Answers JSON lines: the progress of each step and the drifts that it found. " +
        "The last line has complete, and the number of drifts; without it, the verification was cut off. " +
        "Empty lines are heartbeats."
    )
)

/** What a monitor scrapes. */
const Monitoring = HttpApiGroup.make("monitoring").add(
  HttpApiEndpoint.get("metrics", "/metrics")
    .addSuccess(HttpApiSchema.Text({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
    .annotate(OpenApi.Description, "The metrics of the process, in the text format of Prometheus.")
)

/** What operators and proxies ask for. These routes need no credential. */
const Host = HttpApiGroup.make("host", { topLevel: true })
  .add(
    HttpApiEndpoint.get("healthz", "/healthz")
      .addSuccess(Schema.Struct({ status: Schema.Literal("alive") }))
      .annotate(OpenApi.Description, "The process is alive.")
  )
  .add(
    HttpApiEndpoint.get("readyz", "/readyz")
      .addSuccess(Schema.Struct({ status: Schema.Literal("ready") }))
      .addError(storageError)
      .addError(Problem.schema(RequestError.ConsumersBehind))
      .annotate(
        OpenApi.Description,
        "The database can be reached, its commits are followed, and no consumer is further behind than the host allows."
      )
  )
  .add(
    HttpApiEndpoint.get("openapi", "/openapi.json")
      .addSuccess(Schema.Object.annotations({ jsonSchema: { type: "object" } }))
      .annotate(OpenApi.Description, "This document.")
  )

/** `HttpApiSwagger` serves this route, which is no part of the API. */
const docs = {
  get: {
    tags: ["host"],
    operationId: "docs",
    description: "This documentation, as a page.",
    parameters: [],
    security: [],
    responses: { 200: { description: "A page", content: { "text/html": { schema: { type: "string" } } } } }
  }
}

/** Where several errors share a status, `OpenApi` forgets the content type of each. */
const withProblems = (spec: Record<string, any>) => {
  for (const operation of Rec.values(spec["paths"]).flatMap((methods) => Rec.values(methods as Record<string, any>))) {
    for (const [status, response] of Object.entries<any>(operation["responses"])) {
      if (Number(status) >= 400) response.content = { [Problem.contentType]: Rec.values(response.content)[0] }
    }
  }
  return { ...spec, paths: { ...spec["paths"], "/docs": docs } }
}

/**
 * `HttpApi.make` answers malformed requests with a form of its own. Ours is a problem like all others: `Server`
 * translates it.
 */
const empty = Object.assign(HttpApi.make("caravel"), {
  errorSchema: Problem.schema(RequestError.InvalidRequest)
}) as unknown as HttpApi.HttpApi<"caravel", never, RequestError.InvalidRequest>

/**
 * The API of a host. `Server` serves it, and `HttpApiClient` calls it.
 *
 * @since 0.1.0
 * @category api
 */
export class Api extends empty
  .add(Commands.add(submit).middleware(Authentication).prefix("/v1"))
  .add(Queries.middleware(Authentication).prefix("/v1"))
  .add(HistoryGroup.addError(storageError).middleware(Authentication).prefix("/v1"))
  .add(JournalGroup.addError(storageError).middleware(Authentication).prefix("/v1"))
  .add(ConsumersGroup.addError(storageError).middleware(Authentication).prefix("/v1"))
  .add(Upkeep.middleware(Authentication).prefix("/v1"))
  .add(Monitoring.middleware(Authentication))
  .add(Host)
  .addError(Problem.schema(RequestError.ShuttingDown))
  .addError(Problem.schema(RequestError.TimedOut))
  .addError(Problem.schema(RequestError.OriginRefused))
  .annotate(OpenApi.Title, "Caravel")
  .annotate(OpenApi.Version, "1")
  .annotate(
    OpenApi.Description,
    "The write side of a Nostr relay hosting platform: commands on tenants and relays, and the activity that they log. " +
      "Errors are problem details (RFC 9457)."
  )
  .annotate(OpenApi.Transform, (spec) => withNostr(withProblems(spec)))
{}
