/** The program with its exporter: `OTLP_URL=http://127.0.0.1:4318 npm start`. */
import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import * as Otlp from "@effect/opentelemetry/Otlp"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { Config, Effect, Layer } from "effect"
import { signUp, Welcoming } from "./program.js"

const program = Effect.gen(function*() {
  const { position } = yield* signUp("82341f882b6eabcd2ba7f1ef90aad961cf074af15b9ef44a09f9d2a8fbfbe6a2")
  yield* Consumer.awaitPosition("welcoming", position)
})

/** Sends spans, logs and metrics to a collector, and flushes them when the program ends. */
const Telemetry = Config.string("OTLP_URL").pipe(
  Config.withDefault("http://127.0.0.1:4318"),
  Effect.map((baseUrl) => Otlp.layerJson({ baseUrl, resource: { serviceName: "trace" } })),
  Layer.unwrapEffect,
  Layer.provide(FetchHttpClient.layer)
)

// Telemetry is provided last, so that it starts before everything that it traces, and ends after it.
const App = Welcoming.pipe(Layer.provideMerge(Sqlite.layerTemporary), Layer.provideMerge(Telemetry))

void program.pipe(Effect.provide(App), Effect.runPromise)
