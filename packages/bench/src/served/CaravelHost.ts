/** The layers of `caravel serve`, with one subscriber. */
import { Server } from "@caravel/http"
import { Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { Context, Effect, Layer, type Scope } from "effect"
import { createServer } from "node:http"
import type { OpenOptions } from "../Subject.js"
import * as Caravel from "../subjects/Caravel.js"

/** Serves a file. Returns the port. */
export const serve = (options: OpenOptions): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function*() {
    const services = yield* Layer.build(Sqlite.layer(options))
    const { follow } = yield* Caravel.live(services)
    yield* Effect.forkScoped(follow(() => Effect.void))
    const host = yield* Layer.build(
      Server.layer().pipe(
        Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
        Layer.provide(Layer.succeedContext(services))
      )
    )
    const { address } = Context.get(host, HttpServer.HttpServer)
    return address._tag === "TcpAddress" ? address.port : yield* Effect.dieMessage("no TCP port")
  }).pipe(Effect.orDie)
