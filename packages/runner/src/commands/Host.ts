/** A host: the database over HTTP, until the process is told to stop. */
import type { StorageError } from "@caravel/domain"
import { withoutSecrets } from "@caravel/domain/adapter"
import { Server } from "@caravel/http"
import type { Sqlite } from "@caravel/sql"
import { Provisioner, RelayHost } from "@caravel/workers"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpServer from "@effect/platform/HttpServer"
import { Duration, Effect, Layer, Schedule, Stream } from "effect"
import { createServer, type Server as NodeServer, type ServerResponse } from "node:http"
import process from "node:process"
import { reasonOf } from "../cli/SystemError.js"
import { version } from "../cli/Version.js"
import { Failed, type Output } from "../terminal/Output.js"
import * as CredentialsFile from "./CredentialsFile.js"
import { say } from "./HostLog.js"
import type { Settings } from "./Settings.js"
import * as UsedSignatures from "./UsedSignatures.js"

const redacted = (data: unknown) => HttpBody.text(withoutSecrets(JSON.stringify(data)), "application/json")

/** Sends traces, metrics and logs to a collector, without secrets. */
const layerOtlp = (baseUrl: string) =>
  Effect.tryPromise({
    try: () => Promise.all([import("@effect/opentelemetry/Otlp"), import("@effect/opentelemetry/OtlpSerialization")]),
    catch: () =>
      new Failed({ message: "--otlp needs a package that is not installed: npm install @effect/opentelemetry@0.64" })
  }).pipe(
    Effect.map(([Otlp, { OtlpSerialization }]) =>
      Layer.provide(
        Otlp.layer({ baseUrl, resource: { serviceName: "caravel", serviceVersion: version } }),
        Layer.succeed(OtlpSerialization, { traces: redacted, metrics: redacted, logs: redacted })
      )
    ),
    Layer.unwrapEffect,
    Layer.provide(FetchHttpClient.layer)
  )

const makeServer = ({ maxConnections = 10_000 }: Settings) => {
  // A client has ten seconds for its headers. A connection outlives the idle time of the usual proxies, which would
  // otherwise send a request just when it is closed.
  const node = Server.endAbandoned(
    createServer({ headersTimeout: 10_000, requestTimeout: 60_000, keepAliveTimeout: 75_000 })
  )
  node.maxConnections = maxConnections
  return node
}

/** Completes when a condition has held for a moment. */
const settled = (holds: () => boolean) =>
  Effect.suspend(() => {
    let before = false
    const look = Effect.sync(() => {
      const held = before
      before = holds()
      return held && before
    })
    return Effect.asVoid(Effect.repeat(look, { schedule: Schedule.spaced("100 millis"), until: (settled) => settled }))
  })

/** A client whose last answer closed its connection may be about to connect again. */
const connectionsClosed = (node: NodeServer) => {
  let open = 0
  let wasOpened = false
  node.on("connection", (socket) => {
    open++
    wasOpened = true
    socket.on("close", () => open--)
  })
  return settled(() => {
    const isQuiet = open === 0 && !wasOpened
    wasOpened = false
    return isQuiet
  })
}

/** Waits for no stream, which may not end: only for answers that have been written and that their clients still read. */
const answersSent = (node: NodeServer) => {
  const answers = new Set<ServerResponse>()
  node.on("request", (_, response) => {
    answers.add(response)
    response.once("close", () => answers.delete(response))
  })
  return settled(() => [...answers].every(({ writableEnded, writableFinished }) => !writableEnded || writableFinished))
}

/** Why the host cannot listen, by the system's codes. */
const unavailable = {
  EADDRINUSE: "another program listens there; choose another --port, or stop it",
  EADDRNOTAVAIL: "this machine does not have this address; choose another --host",
  EACCES: "permission denied; choose a --port above 1023"
}

const listen = (node: NodeServer, { host = "127.0.0.1", port = 8080 }: Settings) =>
  Effect.mapError(
    Layer.build(NodeHttpServer.layer(() => node, { host, port })),
    ({ cause }) =>
      new Failed({ message: `The host cannot listen on ${host}, port ${port}: ${reasonOf(cause, unavailable)}` })
  )

const layerOf = (node: NodeServer, settings: Settings) =>
  Effect.gen(function*() {
    const { credentials, drainTimeout = 10, maxBody, maxLag, origins, rateLimit, requestTimeout = 60 } = settings
    const options: Server.Options = {
      maxBody,
      maxLag,
      requestTimeout: Duration.seconds(requestTimeout),
      drainTimeout: Duration.seconds(drainTimeout),
      answersSent: answersSent(node),
      connectionsClosed: connectionsClosed(node)
    }
    if (credentials === undefined) {
      const nothing = say("SIGHUP reads the credentials again, and none are configured")
      yield* Effect.forkScoped(Stream.runForEach(CredentialsFile.hangUps, () => nothing))
      return Server.layer(options)
    }
    const current = yield* CredentialsFile.credentials(credentials)
    return Layer.provide(
      Server.layerWithCredentials({ ...options, credentials: current, rateLimit, origins }),
      UsedSignatures.layer
    )
  })

/** Runs the workers until the host ends. The API stays, whatever becomes of them. */
const runWorkers = ({ relayHost, with: workers }: Settings) => {
  if (workers?.includes("provisioner") !== true || relayHost === undefined) return Effect.void
  return Provisioner.run().pipe(
    Effect.provide(Layer.provide(RelayHost.layer(new URL(relayHost)), FetchHttpClient.layer)),
    Effect.tapErrorTag(
      "StorageError",
      ({ message }) =>
        Effect.logWarning(`The provisioner was ended by the database, and is started again in ten seconds. ${message}`)
    ),
    Effect.retry({ schedule: Schedule.spaced("10 seconds"), while: ({ _tag }) => _tag === "StorageError" }),
    Effect.tapErrorCause((cause) =>
      Effect.logError("The provisioner has ended; start the host again to run it", cause)
    ),
    Effect.forkScoped
  )
}

/** A host, until it is interrupted. */
type Serving = Effect.Effect<never, Failed | StorageError, Sqlite.Services | Output>

/** Serves until it is interrupted, which is a success: requests that are running are still answered. */
export const serve: (settings: Settings) => Serving = Effect.fnUntraced(
  function*(settings: Settings) {
    const node = makeServer(settings)
    const server = yield* layerOf(node, settings)
    const listening = yield* listen(node, settings)
    // The workers end last: the server drains at once.
    yield* runWorkers(settings)
    // Nothing answers once it has drained. Connections that are left then have no request that is worth waiting for.
    yield* Effect.addFinalizer(() => Effect.sync(() => node.close().closeAllConnections()))
    yield* Layer.build(Layer.provide(server, Layer.succeedContext(listening)))
    // Node takes the body of a request that asks for another protocol. Without a listener it answers it as any other.
    node.removeAllListeners("upgrade")
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), listening)
    yield* say(`Listening on ${url}; see ${url}/docs`)
    if (settings.credentials === undefined) {
      yield* say("No credential is configured: only this machine is served, and everyone on it is an administrator")
    }
    return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => process.exitCode = 0))
  },
  Effect.scoped,
  (serving, { otlp }) => otlp === undefined ? serving : Effect.provide(serving, layerOtlp(otlp))
)
