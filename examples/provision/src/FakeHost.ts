/** A fake relay host for trials and tests: it keeps the relays that it receives in memory, and serves none. */
import { RelayHost } from "@caravel/workers"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Context, Effect, HashMap, Layer, Option, Ref } from "effect"

/** When a call may fail or be delayed: before the host has stored a relay, or after that, before it answers. */
export type Moment = "received" | "applied"

/** The fake host. */
export class FakeHost extends Context.Tag("@caravel/example-provision/FakeHost")<FakeHost, {
  /** The URL at which the host listens. */
  readonly url: URL
  /** The relays that the host has been sent, by id. */
  readonly relays: Effect.Effect<HashMap.HashMap<string, RelayHost.HostedRelay>>
}>() {}

/**
 * A host with `PUT /relays/:id` and `GET /relays`. `trouble` can delay each call. If it fails, the call is answered
 * with status 503.
 */
export const layer = (
  trouble: (relay: RelayHost.HostedRelay, moment: Moment) => Effect.Effect<void, string> = () => Effect.void
): Layer.Layer<FakeHost, never, HttpServer.HttpServer> =>
  Layer.scoped(
    FakeHost,
    Effect.gen(function*() {
      const relays = yield* Ref.make(HashMap.empty<string, RelayHost.HostedRelay>())

      const put = Effect.gen(function*() {
        const relay = yield* HttpServerRequest.schemaBodyJson(RelayHost.HostedRelay)
        yield* trouble(relay, "received")
        // Calls can arrive out of order, such as those of a process that was believed to be dead.
        const isOld = yield* Ref.modify(relays, (relays) =>
          Option.exists(HashMap.get(relays, relay.id), ({ version }) =>
              version > relay.version)
            ? [true, relays]
            : [false, HashMap.set(relays, relay.id, relay)])
        yield* trouble(relay, "applied")
        return yield* HttpServerResponse.empty({ status: isOld ? 409 : 204 })
      }).pipe(Effect.catchAll(() =>
        HttpServerResponse.empty({ status: 503 })
      ))

      const list = Effect.flatMap(relays, (relays) => HttpServerResponse.json([...HashMap.values(relays)]))

      yield* HttpRouter.empty.pipe(
        HttpRouter.put("/relays/:id", put),
        HttpRouter.get("/relays", list),
        HttpServer.serveEffect()
      )
      const url = yield* HttpServer.addressFormattedWith((address) => Effect.succeed(new URL(address)))
      return { url, relays: Ref.get(relays) }
    })
  )
