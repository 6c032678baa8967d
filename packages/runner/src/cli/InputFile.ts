import { Effect } from "effect"
import { access, constants, readFile, stat } from "node:fs/promises"
import { Failed } from "../terminal/Output.js"
import { reasonOf } from "./SystemError.js"

/**
 * The error for an input that cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export const unreadable = (name: string, error: unknown): Failed =>
  new Failed({ message: `${name} cannot be read: ${reasonOf(error)}` })

/**
 * The text of a file, without the byte order mark that some editors write. `name` is its name in an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const textOf = (path: string, name: string): Effect.Effect<string, Failed> =>
  Effect.tryPromise({
    try: async () => (await readFile(path, "utf8")).replace(/^\ufeff/, ""),
    catch: (error) => unreadable(name, error)
  })

/**
 * Fails if a file cannot be read, before a database is created for what it contains.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mustBeReadable = (path: string): Effect.Effect<void, Failed> =>
  Effect.tryPromise({
    try: async () => {
      await access(path, constants.R_OK)
      return (await stat(path)).isDirectory()
    },
    catch: (error) => unreadable(path, error)
  }).pipe(
    Effect.filterOrFail((isDirectory) => !isDirectory, () => unreadable(path, { code: "EISDIR" })),
    Effect.asVoid
  )
