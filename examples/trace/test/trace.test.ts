import { Consumer } from "@caravel/pubsub"
import { Sqlite } from "@caravel/sql"
import * as Otlp from "@effect/opentelemetry/Otlp"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { expect, it } from "@effect/vitest"
import { Chunk, Effect, Layer } from "effect"
import { signUp, Welcoming } from "../src/program.js"
import { collector } from "./collector.js"

const tenant = "a".repeat(64)

const telemetry = (baseUrl: string) =>
  Layer.provide(Otlp.layerJson({ baseUrl, resource: { serviceName: "trace" } }), FetchHttpClient.layer)

it.scopedLive("a trace leads from the caller through the batch to the consumer's handler", () =>
  Effect.gen(function*() {
    const { spans, url } = yield* collector
    yield* Effect.gen(function*() {
      const { position } = yield* signUp(tenant)
      yield* Consumer.awaitPosition("welcoming", position)
    }).pipe(
      Effect.provide(Welcoming.pipe(Layer.provideMerge(Sqlite.layerTemporary), Layer.provideMerge(telemetry(url))))
    )
    // The exporter sent its last spans before the layer ended.
    const received = Chunk.toReadonlyArray(yield* spans)
    const span = (name: string) => received.find((span) => span.name === name)!
    const [caller, command, batch, handler, own] = [
      "sign up",
      "Command.createTenant",
      "SqlWriter.batch",
      "Consumer.handle",
      "send a welcome"
    ].map(span)

    expect(command!.parentSpanId).toBe(caller!.spanId)
    expect(command!.links.map(({ spanId }) => spanId)).toContain(batch!.spanId)
    expect(handler!.links).toMatchObject([{ traceId: caller!.traceId, spanId: command!.spanId }])
    expect(own).toMatchObject({ traceId: handler!.traceId, parentSpanId: handler!.spanId })
    const attribute = (key: string, stringValue: string) => ({ key, value: { stringValue } })
    expect(command!.attributes).toContainEqual(attribute("caravel.resource.id", tenant))
    expect(handler!.attributes).toContainEqual(attribute("messaging.consumer.group.name", "welcoming"))
    expect(span("sql.transaction").attributes).toContainEqual(attribute("db.system.name", "sqlite"))
  }))
