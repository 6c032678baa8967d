/** The machines that serve relays, as the provisioner sees them: one idempotent call over HTTP. */
import { Relay, RelayState } from "@caravel/domain"
import { FetchHttpClient, HttpClient, type HttpClientError, HttpClientRequest } from "@effect/platform"
import { Context, Effect, flow, Layer, Option, Schema, Stream } from "effect"

/**
 * The configuration that a relay is served with. The version grows with each change, so that a host can tell new from
 * old.
 *
 * @since 0.1.0
 * @category models
 */
export const HostedRelay = RelayState.omit("synced", "syncError", "stripeSubscriptionItemId", "createdAt")

/**
 * @since 0.1.0
 * @category models
 */
export interface HostedRelay extends Schema.Schema.Type<typeof HostedRelay> {}

/**
 * The host did not accept a relay's configuration, or did not answer in time. To recover, send it again, which is
 * harmless.
 *
 * @since 0.1.0
 * @category errors
 */
export class HostError extends Schema.TaggedError<HostError>("@caravel/workers/HostError")("HostError", {
  id: Relay.fields.id,
  reason: Schema.String
}) {
  override get message() {
    return `The host did not accept relay ${this.id}: ${this.reason}`
  }
}

/**
 * The port to the host.
 *
 * @since 0.1.0
 * @category services
 */
export class RelayHost extends Context.Tag("@caravel/workers/RelayHost")<RelayHost, {
  /**
   * Makes the host serve a relay with this configuration. The call is idempotent, and an old version never replaces a
   * newer one.
   */
  readonly put: (relay: HostedRelay) => Effect.Effect<void, HostError>
}>() {}

/**
 * A host at a URL: `PUT /relays/:id`, with the configuration as JSON. Redirects are not followed. If `fetch` needs other
 * options, provide a `RequestInit` to this layer: with `FetchHttpClient`, it replaces the client's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (url: URL): Layer.Layer<RelayHost, never, HttpClient.HttpClient> =>
  Layer.effect(
    RelayHost,
    Effect.zipWith(HttpClient.HttpClient, Effect.serviceOption(FetchHttpClient.RequestInit), (client, init) => {
      const host = client.pipe(
        HttpClient.mapRequest(flow(HttpClientRequest.prependUrl(url.href), HttpClientRequest.acceptJson)),
        HttpClient.filterStatusOk,
        // An answer that is not read to its end would keep its connection open.
        HttpClient.withScope
      )
      return {
        put: Effect.fn("RelayHost.put")(function*(relay: HostedRelay) {
          const request = yield* Effect.orDie(
            HttpClientRequest.schemaBodyJson(HostedRelay)(HttpClientRequest.put(`/relays/${relay.id}`), relay)
          )
          // Without a timeout, a host that never answers would stop the provisioner forever.
          yield* host.execute(request).pipe(
            Effect.flatMap((response) => Stream.runDrain(response.stream)),
            Effect.catchIf(
              (error) => error._tag === "ResponseError" && error.reason === "EmptyBody",
              () => Effect.void
            ),
            Effect.scoped,
            // A redirect would make a GET of it, whose answer says nothing about the relay.
            Effect.provideService(FetchHttpClient.RequestInit, { ...Option.getOrUndefined(init), redirect: "manual" }),
            Effect.timeout("10 seconds"),
            Effect.catchTags({
              TimeoutException: () => new HostError({ id: relay.id, reason: "no answer within 10 seconds" }),
              RequestError: () => new HostError({ id: relay.id, reason: "it cannot be reached" }),
              ResponseError: (error) => new HostError({ id: relay.id, reason: reasonOf(error) })
            })
          )
        })
      }
    })
  )

/** The relay's owner can read this text, so it contains no URL and no body. */
const reasonOf = ({ reason, response }: HttpClientError.ResponseError) =>
  reason === "StatusCode" ? `it answered ${response.status}` : "its answer broke off"
