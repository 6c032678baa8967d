/** The file of a host's credentials. */
import { issuesOf } from "@caravel/domain"
import { Credentials } from "@caravel/http"
import { Effect, Ref, Schema, Stream } from "effect"
import process from "node:process"
import { textOf } from "../cli/InputFile.js"
import { Failed } from "../terminal/Output.js"
import { say, warn } from "./HostLog.js"

const decode = Schema.decode(Schema.parseJson(Credentials.Credentials), { errors: "all", onExcessProperty: "error" })

/** Reads a file. Fails with everything that is wrong with it. */
export const read = (path: string): Effect.Effect<Credentials.Credentials, Failed> =>
  textOf(path, `The credentials in ${path}`).pipe(
    Effect.flatMap(decode),
    Effect.catchTag("ParseError", (error) => new Failed({ message: `${path}: ${issuesOf(error).join("; ")}` }))
  )

/** SIGHUPs, which would otherwise end the process. */
export const hangUps = Stream.asyncPush<void>((emit) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const listener = () => emit.single()
      process.on("SIGHUP", listener)
      return listener
    }),
    (listener) => Effect.sync(() => process.off("SIGHUP", listener))
  )
)

/**
 * The credentials of a file, as they are now: SIGHUP reads the file again. One that is invalid then is reported, and the
 * credentials before it stay.
 */
export const credentials = Effect.fnUntraced(function*(path: string) {
  const current = yield* Effect.flatMap(read(path), Ref.make)
  const reload = read(path).pipe(
    Effect.flatMap((credentials) => Ref.set(current, credentials)),
    Effect.zipRight(say(`The credentials of ${path} are in force`)),
    Effect.catchAll(({ message }) => warn(`The credentials stay as they were: ${message}`))
  )
  yield* Effect.forkScoped(Stream.runForEach(hangUps, () => reload))
  // @effect-diagnostics-next-line returnEffectInGen:off
  return Ref.get(current)
})
