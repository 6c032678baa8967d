import { getPostgreSQLEventStore, postgreSQLProjection } from "@event-driven-io/emmett-postgresql"
import { Effect } from "effect"
import Pg from "pg"
import type { Input } from "../Input.js"
import * as Load from "../Load.js"
import type { PostgresSubject } from "../PostgresSubject.js"
import * as Row from "../Row.js"
import { type Data, decide } from "./Emmett.js"

/** Emmett on PostgreSQL with its own driver, a stream per relay and an inline projection. */
export const subject: PostgresSubject = {
  description: "Emmett, PostgreSQL event store with an inline projection",
  prepare: (url) =>
    Effect.scoped(Effect.flatMap(open(url), ({ store }) => Effect.promise(() => store.schema.migrate()))),
  open: ({ url }) =>
    Effect.gen(function*() {
      const { pool, store } = yield* open(url)
      const querySingle = async <A>(text: string, values: ReadonlyArray<unknown> = []): Promise<A | null> =>
        (await pool.query(text.replace("?", "$1"), [...values])).rows[0] ?? null

      let notified = 0
      const notify = Row.notifier([() => notified++])

      const execute = async (input: Input) => {
        const { event, relay } = await decide(querySingle, input)
        const { lastEventGlobalPosition } = await store.appendToStream(
          `relay-${input.id}`,
          [{ type: event.type, data: { event, relay } }]
        )
        notify(Row.activity(Number(lastEventGlobalPosition), event))
      }

      return { run: Load.promising(execute), notified: () => notified }
    })
}

/** The reads before a command share its pool, which has the driver's default size. */
const open = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const pool = new Pg.Pool({ connectionString: url })
      const store = getPostgreSQLEventStore(url, {
        connectionOptions: { pool },
        projections: [{ type: "inline", projection }]
      })
      return { pool, store }
    }),
    ({ pool, store }) => Effect.promise(() => store.close().then(() => pool.ended ? undefined : pool.end()))
  )

const projection = postgreSQLProjection<{ type: string; data: Data }>({
  name: "relay",
  canHandle: ["RelayCreated", "RelayDeactivated"],
  handle: async (
    events: ReadonlyArray<{ readonly data: Data }>,
    { connection: { client } }: { readonly connection: { readonly client: Pg.ClientBase } }
  ) => {
    for (const { data: { event, relay } } of events) {
      if (relay === undefined) {
        await client.query("UPDATE caravel_relay SET status = 'inactive', version = $1 WHERE id = $2", [
          event.resource_version,
          event.resource_id
        ])
      } else {
        const columns = Object.keys(relay)
        await client.query(
          `INSERT INTO caravel_relay (${columns.join(", ")}) VALUES (${
            columns.map((_, index) => `$${index + 1}`).join(", ")
          })`,
          Object.values(relay)
        )
      }
    }
  }
})
