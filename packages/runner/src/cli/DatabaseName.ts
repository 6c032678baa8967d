/**
 * The value of `--database`: an SQLite file, as a path or a `file:` URL, or a PostgreSQL URL. Errors contain no part of
 * a URL.
 */
import { Either, Option, Redacted } from "effect"

/**
 * A database by its name.
 *
 * @since 0.1.0
 * @category models
 */
export type DatabaseName = DatabaseFile | { readonly url: Redacted.Redacted; readonly schema?: string }

/**
 * An SQLite file. `mode` comes from a `file:` URL: `ro` forbids changes, `rwc` creates the file, `rw` does neither.
 *
 * @since 0.1.0
 * @category models
 */
export interface DatabaseFile {
  readonly filename: string
  readonly mode?: Mode
}

/**
 * The mode of a `file:` URL.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = "ro" | "rw" | "rwc"

const isMode = (mode: string): mode is Mode => mode === "ro" || mode === "rw" || mode === "rwc"

const scheme = /^([a-z][a-z0-9+.-]+):/i

/**
 * Parses the name of a database. The error continues a sentence that begins with the name's origin, such as
 * `--database`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parse = (text: string): Either.Either<DatabaseName, string> => {
  if (text === "") return Either.left("is empty")
  if (/^["'`]/.test(text)) return Either.left("begins with a quotation mark; leave it out")
  if (text.trim() !== text) return Either.left("begins or ends with white space; leave it out")
  const [, name] = scheme.exec(text) ?? []
  switch (name?.toLowerCase()) {
    case undefined:
      return fileNamed(text)
    case "postgres":
    case "postgresql":
      return Either.right({ url: Redacted.make(text) })
    case "file":
      return readFileUrl(text.slice("file:".length))
    default:
      return Either.left(`begins with ${name}:, which is not supported; ${kinds}`)
  }
}

const kinds = "use a path, file:PATH or postgres://user@host:5432/name"

const fileNamed = (filename: string): Either.Either<DatabaseFile, string> => {
  if (filename.includes(":memory:")) {
    return Either.left("names a database in memory, which is gone when the command ends; name a file")
  }
  // A text that looks like a URL with a mistyped scheme may contain a password.
  return /^[^./].*(:\/\/|:[^/]*@)/.test(filename)
    ? Either.left(`is neither a path nor a URL that is supported; ${kinds}`)
    : Either.right({ filename })
}

/** As SQLite parses it (https://www.sqlite.org/uri.html), without the parameters that have no effect here. */
const readFileUrl = (rest: string): Either.Either<DatabaseFile, string> => {
  const [, authority, path = "", query, fragment] = /^(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(#.*)?$/s.exec(rest) ?? []
  if (authority !== undefined && authority !== "" && authority !== "localhost") {
    return Either.left("is a file: URL with a host; use file:/path or file:///path")
  }
  if (fragment !== undefined) return Either.left("is a file: URL with a fragment (#…), which is not supported")
  const parameters = [...new URLSearchParams(query)]
  const unknown = parameters.find(([name]) => name !== "mode")
  if (unknown !== undefined) {
    return Either.left(`is a file: URL with ${unknown[0]}=, which is not supported; only mode= is`)
  }
  const [[, mode] = []] = parameters
  if (mode !== undefined && (parameters.length > 1 || !isMode(mode))) {
    return Either.left("is a file: URL whose mode= is not supported; use ro, rw or rwc")
  }
  return Either.try({
    try: () => decodeURIComponent(path),
    catch: () => "is a file: URL with a malformed % sequence; a percent sign is %25"
  }).pipe(
    Either.filterOrLeft(
      (filename) => filename !== "" && !filename.includes("\0"),
      () => "is a file: URL without a path"
    ),
    Either.filterOrLeft(
      (filename) => filename.trim() === filename,
      () => "is a file: URL whose path begins or ends with white space; leave it out"
    ),
    Either.filterOrLeft(
      (filename) => !filename.includes(":memory:"),
      () => "names a database in memory, which is gone when the command ends; name a file"
    ),
    Either.map((filename) => mode === undefined ? { filename } : { filename, mode })
  )
}

/**
 * Sets the schema of a PostgreSQL database. An SQLite file stays the same.
 *
 * @since 0.1.0
 * @category combinators
 */
export const inSchema = (name: DatabaseName, schema: Option.Option<string>): DatabaseName =>
  "url" in name && Option.isSome(schema) ? { ...name, schema: schema.value } : name

/**
 * A database in messages: a file by its path. A URL is not shown, as it may contain a password.
 *
 * @since 0.1.0
 * @category text
 */
export const shown = (name: DatabaseName): string => "filename" in name ? name.filename : "the database"
