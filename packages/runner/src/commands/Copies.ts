/** Copies of the database, restoring one, and the epochs that restores begin. */
import { EpochStart, Journal, type StorageError } from "@caravel/domain"
import { Backup, Copy } from "@caravel/sql"
import * as Args from "@effect/cli/Args"
import * as Options from "@effect/cli/Options"
import { Effect, type Option, Schema } from "effect"
import { database, databaseArgument, fileArgument, json, optionsOf, schema, writable } from "../cli/Arguments.js"
import * as DatabaseName from "../cli/DatabaseName.js"
import { format, formatted } from "../cli/Format.js"
import { onPlace, place } from "../cli/Place.js"
import * as Layout from "../terminal/Layout.js"
import * as Listing from "../terminal/Listing.js"
import { Failed, Output, type OutputClosed } from "../terminal/Output.js"
import { counted } from "../terminal/ProgressBar.js"
import * as Render from "../terminal/Render.js"
import * as Steps from "../terminal/Steps.js"
import * as Subcommand from "./Subcommand.js"

interface BackupOptions {
  readonly file: string
  readonly database: DatabaseName.DatabaseName
  /** Whether to overwrite an existing file. */
  readonly force: boolean
  readonly json: boolean
}

const contents = ({ position, relays, tenants }: Backup.Copied) =>
  `${counted(position, "event")}, ${counted(tenants, "tenant")}, ${counted(relays, "relay")}`

const report = (
  { force, json }: BackupOptions,
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

const placeOf = (database: DatabaseName.DatabaseName, settings: { readonly migrate: boolean }): Backup.Place => {
  const options = optionsOf(database)
  return "url" in options ? { ...options, ...settings } : options.filename
}

/** Copies the database to a file. */
const backup = Effect.fn("Copies.backup")((options: BackupOptions) =>
  report(
    options,
    "overwrites it",
    (rest) => Backup.backup({ from: placeOf(options.database, { migrate: false }), to: options.file, ...rest }),
    (copied, { style }) => [style.green(`Backed up to ${options.file}, and verified: ${contents(copied)}`)]
  )
)

/** Replaces the database's contents by a backup. */
const restore = Effect.fn("Copies.restore")((options: BackupOptions) =>
  report(
    options,
    "replaces it, and what happened since the backup is lost",
    (rest) =>
      Effect.zipRight(
        writable(options.database),
        Backup.restore({ from: options.file, to: placeOf(options.database, { migrate: options.force }), ...rest })
      ),
    (copied, { style }) => [
      style.green(`Restored ${DatabaseName.shown(options.database)}: ${contents(copied)}`),
      style.dim(
        "It is in a new epoch: restart the programs that have it open, and reset its consumers (see caravel consumers)"
      )
    ]
  )
)

/** Copies, and prints what was new, which is nothing once the copy is complete. */
const copy = Effect.fn("Copies.copy")(
  function*({ json, schema, ...named }: {
    readonly from: DatabaseName.DatabaseName
    readonly to: DatabaseName.DatabaseName
    readonly schema: Option.Option<string>
    readonly json: boolean
  }): Effect.fn.Return<void, Failed | OutputClosed | StorageError, Output> {
    const output = yield* Output
    const [from, to] = [DatabaseName.inSchema(named.from, schema), DatabaseName.inSchema(named.to, schema)]
    yield* writable(to)
    const result = yield* Steps.shown((onStep) =>
      Copy.copy({ from: { ...optionsOf(from), migrate: false }, to: optionsOf(to), onStep })
    ).pipe(
      Effect.catchTag("NotACopy", ({ message }) => new Failed({ message })),
      Effect.onInterrupt(() =>
        output.isErrorTerminal
          ? output.note("Interrupted; run the same command again to continue from here")
          : Effect.void
      )
    )
    if (!output.isTerminal || json) return yield* output.print(JSON.stringify({ ok: true, ...result }))
    const { copied, position, relays, tenants } = result
    yield* output.print(output.style.green(
      `Copied ${counted(copied, "event")}, and verified: ${counted(position, "event")}, ${
        counted(tenants, "tenant")
      }, ${counted(relays, "relay")}`
    ))
    yield* output.print(output.style.dim(
      copied === 0
        ? "If nothing has been written to the source meanwhile, you can switch to the target"
        : "To switch: stop the programs that write to the source, copy once more, and start them on the target"
    ))
  }
)

const epochJson = Schema.encodeSync(EpochStart)

/** Shows the journal's epochs. */
const epochs = Effect.fn("Copies.epochs")(
  function*() {
    yield* Listing.show(yield* Effect.flatMap(Journal, (journal) => journal.epochs), {
      none: "",
      toJson: epochJson,
      toTable: (starts, output) =>
        Layout.table(
          ["epoch", "begins after", Render.timeTitle("at", output.style)],
          starts.map(({ epoch, position, startedAt }) => [
            epoch,
            String(position),
            Render.time(startedAt, output.style)
          ]),
          output
        )
    })
  }
)

const backupOptions = (file: string) => ({
  file: fileArgument("FILE").pipe(Args.withDescription(file)),
  force: Options.boolean("force").pipe(Options.withDescription("Overwrites an existing target.")),
  json,
  database
})

const databaseNamed = (name: string, what: string) =>
  databaseArgument(name).pipe(
    Args.withDescription(`${what} An SQLite file, or postgres://user@host:5432/name. Required.`)
  )

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "backup",
    help:
      "Copies the database to an SQLite file, as it is at one instant, even while it is being written, and verifies the copy. It " +
      "holds wallet URLs.",
    options: backupOptions("Where the copy is written. Required."),
    execute: backup
  }),
  Subcommand.make({
    name: "restore",
    help:
      "Verifies a backup and replaces the database's contents with it in one step, in a new epoch. Programs that have " +
      "the database open fail, and its consumers must be reset.",
    options: backupOptions("The backup. Required."),
    execute: restore
  }),
  Subcommand.make({
    name: "copy",
    help: "Copies a database to an SQLite or PostgreSQL database, with positions, consumers and secrets as they are " +
      "stored, and verifies the copy. Run an interrupted copy again to continue it; the target can be used once the " +
      "copy is complete. A password in a URL is visible in the process list; PGPASSWORD is not.",
    options: {
      from: databaseNamed("FROM", "The database to copy. It may be written meanwhile."),
      to: databaseNamed("TO", "The target: an empty database, or an earlier copy, which is brought up to date."),
      schema,
      json
    },
    execute: copy
  }),
  Subcommand.make({
    name: "epochs",
    help: "Shows the epochs of this database, oldest first. Each restore begins a new one.",
    options: { format, place },
    execute: onPlace(formatted(epochs))
  })
]
