/** `caravel backup` and `caravel restore`: backups of the database, and restoring one. */
import type { StorageError } from "@caravel/domain"
import { Backup } from "@caravel/sql"
import { Effect } from "effect"
import { optionsOf, writable } from "../cli/Arguments.js"
import * as DatabaseName from "../cli/DatabaseName.js"
import { Failed, Output, type OutputClosed } from "../terminal/Output.js"
import { counted } from "../terminal/ProgressBar.js"
import * as Steps from "../terminal/Steps.js"

interface Options {
  readonly file: string
  readonly database: DatabaseName.DatabaseName
  /** Whether to overwrite an existing file. */
  readonly force: boolean
  readonly json: boolean
}

const contents = ({ position, relays, tenants }: Backup.Copied) =>
  `${counted(position, "event")}, ${counted(tenants, "tenant")}, ${counted(relays, "relay")}`

const run = (
  { force, json }: Options,
  overwritten: string,
  copy: (options: Pick<Backup.Options, "overwrite" | "onStep">) => Effect.Effect<
    Backup.Copied,
    Backup.FileExists | Backup.NotEmpty | Failed | StorageError
  >,
  text: (copied: Backup.Copied, output: typeof Output.Service) => ReadonlyArray<string>
): Effect.Effect<void, Failed | OutputClosed | StorageError, Output> =>
  Effect.gen(function*() {
    const output = yield* Output
    const copied = yield* Steps.shown((onStep) => copy({ overwrite: force, onStep })).pipe(
      Effect.catchTags({
        FileExists: ({ filename }) => new Failed({ message: `${filename} exists; --force ${overwritten}` }),
        NotEmpty: ({ position }) =>
          new Failed({ message: `The database holds ${counted(position, "event")}; --force ${overwritten}` })
      })
    )
    const lines = output.isTerminal && !json ? text(copied, output) : [JSON.stringify({ ok: true, ...copied })]
    yield* Effect.forEach(lines, output.print, { discard: true })
  })

const placeOf = (database: DatabaseName.DatabaseName): Backup.Place => {
  const options = optionsOf(database)
  return "url" in options ? options : options.filename
}

/**
 * Copies the database to a file.
 *
 * @since 0.1.0
 * @category commands
 */
export const backup = Effect.fn("Backups.backup")((options: Options) =>
  run(
    options,
    "overwrites it",
    (rest) => Backup.backup({ from: placeOf(options.database), to: options.file, ...rest }),
    (copied, { style }) => [style.green(`Backed up to ${options.file}, and verified: ${contents(copied)}`)]
  )
)

/**
 * Replaces the database's contents by a backup.
 *
 * @since 0.1.0
 * @category commands
 */
export const restore = Effect.fn("Backups.restore")((options: Options) =>
  run(
    options,
    "replaces it, and what happened since the backup is lost",
    (rest) =>
      Effect.zipRight(
        writable(options.database),
        Backup.restore({ from: options.file, to: placeOf(options.database), ...rest })
      ),
    (copied, { style }) => [
      style.green(`Restored ${DatabaseName.shown(options.database)}: ${contents(copied)}`),
      style.dim(
        "It is in a new epoch: restart the programs that have it open, and reset its consumers (see caravel consumers)"
      )
    ]
  )
)
