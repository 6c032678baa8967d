/** A process that serves a subject over HTTP: `server.ts SUBJECT OPTIONS`. It sends its port, and its parent ends it. */
import { Effect, Schema } from "effect"
import process from "node:process"
import { Synchronous } from "./Case.js"
import { served } from "./served/index.js"

const Arguments = Schema.Tuple(
  Schema.String,
  Schema.parseJson(Schema.Struct({ filename: Schema.String, synchronous: Synchronous, relays: Schema.Number }))
)

const program = Effect.gen(function*() {
  const [subject, options] = yield* Schema.decodeUnknown(Arguments)(process.argv.slice(2))
  const serve = served[subject]
  if (serve === undefined) return yield* Effect.dieMessage(`no subject over HTTP is called ${subject}`)
  const port = yield* serve(options)
  process.send?.(port)
  return yield* Effect.never
})

// A terminal's Ctrl-C reaches the whole process group.
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit())
void Effect.runPromise(Effect.scoped(program))
