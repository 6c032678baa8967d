/** Another process on the same database, which is killed and started again: `child.ts [FILENAME]`. */
import { ActivityFeed, Command } from "@caravel/domain"
import { Postgres, Sqlite } from "@caravel/sql"
import { Effect, Random, Redacted, Stream } from "effect"
import process from "node:process"
import { relays, write } from "./Load.js"
import { variable } from "./Storage.js"

const [filename] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const command = yield* Command
  const feed = yield* ActivityFeed
  const following = Stream.runDrain(feed.live)
  const writing = Effect.forever(Effect.flatMap(Random.nextIntBetween(0, relays), (n) => write(command, n)))
  process.send?.("ready")
  yield* Effect.all([following, writing], { concurrency: "unbounded" })
})

const layer = filename === undefined
  ? Postgres.layer({ url: Redacted.make(process.env[variable] ?? "") })
  : Sqlite.layer({ filename })

await Effect.runPromise(Effect.provide(program, layer))
