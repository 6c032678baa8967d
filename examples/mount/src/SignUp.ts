/** The application's own routes: a page, and the form by which anybody signs up. */
import { Command, Query } from "@caravel/domain"
import { Problem, RequestError } from "@caravel/http"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Effect, Schema } from "effect"

const Form = Schema.Struct({ pubkey: Schema.String, subdomain: Schema.String })

/** A tenant with its first relay, by the command service of this process. */
const signUp = Effect.fn("signUp")(function*({ pubkey, subdomain }: typeof Form.Type) {
  const command = yield* Command
  yield* command.submit([
    { _tag: "CreateTenant", pubkey },
    { _tag: "CreateRelay", id: subdomain, tenant: pubkey, subdomain, plan: "free" }
  ])
  return HttpServerResponse.text(`wss://${subdomain}.relays.example is yours\n`, { status: 201 })
})

const page = Effect.gen(function*() {
  const { length } = yield* (yield* Query).relays
  return HttpServerResponse.text(`Relays for everyone. There are ${length}.\n`)
})

/** Adds the routes to those of Caravel's API. */
export const layer = HttpApiBuilder.Router.use((router) =>
  Effect.gen(function*() {
    const services = yield* Effect.context<Command | Query>()
    yield* router.get("/", page.pipe(Effect.catchAll(Problem.response), Effect.provide(services)))
    yield* router.post(
      "/sign-up",
      HttpServerRequest.schemaBodyUrlParams(Form).pipe(
        Effect.flatMap(signUp),
        // As Caravel's routes do: what is refused is a problem.
        Effect.catchTag("ParseError", "RequestError", () =>
          new RequestError.InvalidRequest({ issues: [{ path: "", message: "Expected a pubkey and a subdomain" }] })),
        Effect.catchAll(Problem.response),
        Effect.provide(services)
      )
    )
  })
)
