import { Postgres } from "@caravel/sql"
import { Effect, Layer, Redacted, type Scope } from "effect"
import type * as Live from "../Live.js"
import * as Load from "../Load.js"
import type { PostgresSubject } from "../PostgresSubject.js"
import * as Caravel from "./Caravel.js"

/**
 * Caravel on PostgreSQL. Its subscriber receives the commands of all processes; only those of its own process are
 * counted.
 */
export const subject: PostgresSubject = {
  description: "Caravel, Postgres.layer",
  prepare: () => Effect.void,
  open: ({ url }) =>
    Effect.gen(function*() {
      const { execute, follow } = yield* open(url)
      const told = new Set<number>()
      const own: Array<number> = []
      yield* Effect.forkScoped(follow((notices) =>
        Effect.sync(() => {
          for (const { position } of notices) told.add(position)
        })
      ))
      return {
        run: Load.effectful((input) => Effect.map(execute(input), ({ position }) => own.push(position))),
        notified: () => own.reduce((count, position) => told.has(position) ? count + 1 : count, 0)
      }
    })
}

/** The commands, and the subscription. */
export const open = (url: string): Effect.Effect<Live.Live, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.orDie(Layer.build(Postgres.layer({ url: Redacted.make(url) }))),
    (context) => Caravel.live(context)
  )
