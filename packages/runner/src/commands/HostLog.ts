/** The log of a host, on standard error, without secrets. */
import { withoutSecrets } from "@caravel/domain/adapter"
import { Console, Effect, FiberRef, HashSet, Logger } from "effect"
import process from "node:process"
import { format } from "node:util"
import { Output } from "../terminal/Output.js"

const loggers = {
  json: Logger.withConsoleError(Logger.jsonLogger),
  logfmt: Logger.withConsoleError(Logger.logfmtLogger),
  // Node knows NO_COLOR and TERM=dumb.
  pretty: Logger.prettyLogger({ stderr: true, colors: process.stderr.isTTY && process.stderr.hasColors() })
}

/** The formats of the log. */
export type Format = keyof typeof loggers

const telling = (log: (text: string) => Effect.Effect<void>) => (text: string): Effect.Effect<void, never, Output> =>
  Effect.flatMap(Output, ({ isErrorTerminal, note }) => isErrorTerminal ? note(text) : log(text))

/** Tells the operator something: as a line on a terminal, and elsewhere in the log. */
export const say = telling(Effect.logInfo)

/** Tells the operator that something was not done: as a line on a terminal, and elsewhere as a warning in the log. */
export const warn = telling(Effect.logWarning)

/** Runs an effect with its log in this format. All loggers write by the console of the fiber. */
export const withLog = (name: Format) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.console, (console) => {
    const error = (...parts: ReadonlyArray<unknown>) => console.unsafe.error(withoutSecrets(format(...parts)))
    return effect.pipe(
      Effect.locally(FiberRef.currentLoggers, HashSet.make<Array<Logger.Logger<unknown, any>>>(loggers[name])),
      Console.withConsole({ ...console, unsafe: { ...console.unsafe, error } })
    )
  })
