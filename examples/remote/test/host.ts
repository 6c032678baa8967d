/** A host in this process, on a free port, until the scope ends; and PostgreSQL for tests. */
import { Server } from "@caravel/http"
import { Postgres, type Sqlite } from "@caravel/sql"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { SqlClient } from "@effect/sql/SqlClient"
import { type Context, Effect, Layer, Logger, LogLevel, Redacted } from "effect"
import { createServer } from "node:http"
import process from "node:process"

type Services = Context.Context<Layer.Layer.Success<ReturnType<typeof Sqlite.layer>>>

/** Serves the services. Returns the host's URL. */
export const host = (services: Services, port = 0) =>
  Effect.flatMap(
    Layer.build(
      Server.layer().pipe(
        Layer.provideMerge(
          NodeHttpServer.layer(() => Server.endAbandoned(createServer()), { host: "127.0.0.1", port })
        ),
        Layer.provide([Layer.succeedContext(services), Logger.minimumLogLevel(LogLevel.Error)])
      )
    ),
    (context) => Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
  )

/** A schema of the tests' own, which is dropped at the end. */
export const temporarySchema = (url: string) => {
  const schema = `remote_${process.pid}`
  const drop = Effect.flatMap(SqlClient, (sql) => Effect.orDie(sql`DROP SCHEMA ${sql(schema)} CASCADE`))
  return Layer.provideMerge(
    Layer.scopedDiscard(Effect.acquireRelease(Effect.void, () => drop)),
    Postgres.layer({ url: Redacted.make(url), schema })
  )
}
