/** What the command lines of private programs share. */
import * as Options from "@effect/cli/Options"
import { Effect, Option } from "effect"
import * as fs from "node:fs/promises"

/** An option that selects some of the known names; by default all, or those that are given. */
export const list = (
  name: string,
  what: string,
  known: ReadonlyArray<string>,
  byDefault = known
): Options.Options<ReadonlyArray<string>> =>
  Options.text(name).pipe(
    Options.withDescription(`Only these ${what}, separated by commas: ${known.join(", ")}.`),
    Options.map((text): ReadonlyArray<string> => text.split(",")),
    Options.filterMap(
      (names) => names.every((name) => known.includes(name)) ? Option.some(names) : Option.none(),
      `--${name} takes ${known.join(", ")}`
    ),
    Options.optional,
    Options.map(Option.getOrElse(() => byDefault))
  )

/** An option that names a file to write to. */
export const file = (name: string, what: string): Options.Options<Option.Option<string>> =>
  Options.file(name).pipe(Options.withDescription(`Writes ${what} to this file.`), Options.optional)

/** Writes to the file of an option, if it was given. */
export const write = (path: Option.Option<string>, text: string) =>
  Option.match(path, {
    onNone: () => Effect.void,
    onSome: (path) => Effect.tryPromise(() => fs.writeFile(path, text))
  })
