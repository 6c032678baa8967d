/** A provisioner and its host on the loopback, in this process. */
import type { Relay } from "@caravel/domain"
import { RelayHost } from "@caravel/workers"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { createServer } from "node:http"
import * as FakeHost from "../src/FakeHost.js"

/** A fake host on a free port. */
export const fakeHost = (trouble?: Parameters<typeof FakeHost.layer>[0]) =>
  Layer.provide(FakeHost.layer(trouble), NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))

/** The same, and the way to it. */
export const world = (trouble?: Parameters<typeof FakeHost.layer>[0]) =>
  Layer.unwrapEffect(Effect.map(FakeHost.FakeHost, ({ url }) => RelayHost.layer(url))).pipe(
    Layer.provide(NodeHttpClient.layer),
    Layer.provideMerge(fakeHost(trouble))
  )

/** A relay as a host gets it. */
export const asHosted = ({ createdAt: _, stripeSubscriptionItemId: _i, syncError: _e, synced: _s, ...relay }: Relay) =>
  RelayHost.HostedRelay.make(relay)

/** Without the version, which reports raise too. */
export const configuration = ({ version: _, ...configuration }: RelayHost.HostedRelay) => configuration
