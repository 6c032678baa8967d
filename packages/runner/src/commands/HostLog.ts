/** The log of a host, on standard error, without secrets. */
import { withoutSecrets } from "@caravel/domain/adapter"
import { Console, Effect, FiberRef, HashSet, Logger } from "effect"
import { format } from "node:util"
import { Output } from "../terminal/Output.js"

const loggers = {
  json: Logger.withConsoleError(Logger.jsonLogger),
  logfmt: Logger.withConsoleError(Logger.logfmtLogger),
  pretty: Logger.prettyLogger({ stderr: true })
}

/** The formats of the log. */
export type Format = keyof typeof loggers

/** Tells the operator something: as a line on a terminal, and elsewhere in the log. */
export const say = (text: string): Effect.Effect<void, never, Output> =>
  Effect.flatMap(Output, ({ isErrorTerminal, note }) => isErrorTerminal ? note(text) : Effect.logInfo(text))

/** Runs an effect with its log in this format. All loggers write by the console of the fiber. */
export const withLog = (name: Format) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.console, (console) => {
    const error = (...parts: ReadonlyArray<unknown>) => console.unsafe.error(withoutSecrets(format(...parts)))
    return effect.pipe(
      Effect.locally(FiberRef.currentLoggers, HashSet.make<Array<Logger.Logger<unknown, any>>>(loggers[name])),
      Console.withConsole({ ...console, unsafe: { ...console.unsafe, error } })
    )
  })
