/** A host in this process: what `caravel serve` serves, on a free port. */
import { Credentials, Server, SingleUse } from "@caravel/http"
import { Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { createServer, type Server as NodeServer } from "node:http"

/** Serves a database, which is created. With credentials, only those are admitted. */
export const hosted = async (
  filename: string,
  options: { readonly credentials?: Credentials.Credentials; readonly node?: NodeServer } = {}
) => {
  const { credentials, node = Server.endAbandoned(createServer()) } = options
  const server = credentials === undefined ? Server.layer() : Layer.provide(
    Server.layerWithCredentials({ credentials: Effect.succeed(credentials) }),
    SingleUse.layerMemory
  )
  const runtime = ManagedRuntime.make(server.pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => node, { host: "127.0.0.1", port: 0 })),
    Layer.provideMerge(Sqlite.layer({ filename })),
    Layer.orDie
  ))
  const url = await runtime.runPromise(HttpServer.addressFormattedWith(Effect.succeed))
  return {
    url,
    close: async () => {
      node.closeAllConnections()
      await runtime.dispose()
    }
  }
}

/** A token, and its entry among the credentials. */
export const makeToken = async (entry: Omit<Credentials.Token, "hash" | "grants">) => {
  const { hash, token } = await Effect.runPromise(Credentials.makeToken)
  return { token: Redacted.value(token), entry: { ...entry, hash, grants: [] } }
}
