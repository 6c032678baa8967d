/** Caravel through its public API, as applications use it. */
import { ActivityFeed, Command } from "@caravel/domain"
import { Memory } from "@caravel/memory"
import { Sqlite } from "@caravel/sql"
import { Context, Effect, Layer, type Scope, Stream } from "effect"
import type { Input } from "../Input.js"
import * as Live from "../Live.js"
import type { OpenOptions, Subject } from "../Subject.js"
import * as Template from "../Template.js"

/** Caravel on an SQLite file. */
export const sqlite: Subject = {
  description: "Caravel, Sqlite.layer",
  open: (options) => Effect.flatMap(open(options), Live.session)
}

/** Caravel in memory. */
export const memory: Subject = {
  description: "Caravel, Memory.layer: no file, nothing kept",
  volatile: true,
  open: ({ relays }) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Memory.layer)
      yield* Effect.provide(Template.creations(relays), context)
      return yield* Live.session(yield* live(context))
    })
}

/** The commands on a file, with the subscription `command.notify.subscribe` or the stream `feed.live`. */
export const open = (options: OpenOptions, by?: "feed"): Effect.Effect<Live.Live, never, Scope.Scope> =>
  Effect.flatMap(Effect.orDie(Layer.build(Sqlite.layer(options))), (context) => live(context, by))

type CommandError = Effect.Effect.Error<ReturnType<typeof Command.Service["createRelay" | "deactivateRelay"]>>

/** The commands of a context, with a subscription. */
export const live = (
  context: Context.Context<Command | ActivityFeed>,
  by: "queue" | "feed" = "queue"
): Effect.Effect<Live.Live, never, Scope.Scope> =>
  Effect.gen(function*() {
    const command = Context.get(context, Command)
    const feed = Context.get(context, ActivityFeed)
    const queue = yield* command.notify.subscribe
    const execute = (input: Input): Effect.Effect<Live.Notice, CommandError> =>
      input._tag === "createRelay"
        ? command.createRelay({ id: input.id, tenant: input.tenant, subdomain: input.subdomain })
        : command.deactivateRelay({ id: input.id })
    const follow: Live.Follow<Live.Notice> = by === "queue"
      ? Live.followQueue(queue)
      : (take) => Effect.orDie(Effect.zipRight(Stream.runForEachChunk(feed.live, take), Effect.never))
    return { execute: (input: Input) => Effect.orDie(execute(input)), follow }
  })
