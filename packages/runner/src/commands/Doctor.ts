/** `caravel doctor`: examines the database and what uses it, and says what to do about what is wrong. */
import { type Epoch, Journal, Query, type StorageError } from "@caravel/domain"
import { clockMessage, withoutSecrets } from "@caravel/domain/adapter"
import { Consumer } from "@caravel/pubsub"
import { schemaVersion } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { Array as Arr, Effect, Option, Stream } from "effect"
import { type Stats } from "node:fs"
import { readdir, realpath, stat, statfs } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { database, json, layerOf } from "../cli/Arguments.js"
import type { DatabaseFile, DatabaseName } from "../cli/DatabaseName.js"
import * as Layout from "../terminal/Layout.js"
import { Failed, Output, type Style, toTheEnd } from "../terminal/Output.js"
import { counted } from "../terminal/ProgressBar.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"
import { advice, covered, makeProgress } from "./Verify.js"

/** What was examined, and what to do unless it is `ok`. A warning is nothing that must be repaired. */
interface Finding {
  readonly check:
    | "file"
    | "disk"
    | "log"
    | "sidecars"
    | "leftovers"
    | "durability"
    | "schema"
    | "rows"
    | "clocks"
    | "secrets"
    | "consumers"
    | "database"
  readonly status: "ok" | "warning" | "wrong"
  readonly finding: string
  readonly advice: string | null
}

const ok = (check: Finding["check"], finding: string): Finding => ({ check, status: "ok", finding, advice: null })

/** A log that grows beyond this, in bytes, is not written back: its checkpoints begin at 16 MiB. */
const longLog = 64 * 2 ** 20

const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`

const statOf = (path: string): Effect.Effect<Stats | undefined> =>
  Effect.promise(() => stat(path).catch(() => undefined))

/** What a log may need that a long read keeps from being written back, beside a copy of the database. */
const leastRoom = 256 * 2 ** 20

/** Whether a backup beside the file would fit, and what a restore or a migration needs. */
const examineDisk = (path: string, { size: bytes }: Stats): Effect.Effect<Finding> =>
  Effect.map(Effect.promise(() => statfs(path)), ({ bavail, bsize }) => {
    const left = bavail * bsize
    return left >= bytes + leastRoom ? ok("disk", `the disk has ${size(left)} left`) : {
      check: "disk",
      status: "warning",
      finding: `the disk has ${size(left)} left, which is too little for a copy of the database`,
      advice: "Make room, and back up to another disk: when the disk is full, commands fail with reason full"
    }
  })

/** The directories of copies that a backup or restore which was killed has left beside the database. */
const leftovers = (path: string) =>
  Effect.map(
    Effect.promise(() => readdir(dirname(path)).catch(() => [])),
    (names) => names.filter((name) => name.startsWith(basename(path)) && /\.(backup|restore)-\w{6}$/.test(name))
  )

/** The files are not opened: to close one would drop the locks that this process has on it. */
const examineFiles = Effect.fnUntraced(function*({ filename }: DatabaseFile) {
  // SQLite keeps its log beside the file itself, not beside a link to it.
  const path = yield* Effect.promise(() => realpath(filename).catch(() => filename))
  const main = yield* statOf(path)
  if (main === undefined) return []
  const log = yield* statOf(`${path}-wal`)
  const sidecars = yield* Effect.forEach(
    ["-wal", "-shm"],
    (suffix) => Effect.map(statOf(path + suffix), (stat) => ({ name: path + suffix, stat }))
  )
  const foreign = sidecars.filter(({ stat }) => stat !== undefined && stat.uid !== main.uid)
  const logSize = log?.size ?? 0
  const findings: Array<Finding> = [
    ok("file", `${path} has ${size(main.size)}`),
    yield* examineDisk(path, main),
    logSize <= longLog ? ok("log", `the write-ahead log has ${size(logSize)}`) : {
      check: "log",
      status: "warning",
      finding: `the write-ahead log has ${size(logSize)}, as something reads the database without end`,
      advice: "End long reads, such as a backup that hangs; the next commits then write the log back"
    },
    foreign.length === 0 ? ok("sidecars", "-wal and -shm belong to the owner of the file") : {
      check: "sidecars",
      status: "wrong",
      finding: `${foreign.map(({ name }) => name).join(" and ")} belong to another user than the file`,
      advice: "Stop the programs that use the database, and give the files to the owner of the database with chown"
    },
    ...(yield* leftovers(path)).map((name): Finding => ({
      check: "leftovers",
      status: "warning",
      finding: `${
        join(dirname(path), name)
      } holds a copy of wallet URLs, and a backup or restore that was killed has left it`,
      advice: "Remove it, unless a backup or restore is running"
    }))
  ]
  return findings
})

const settingOf = (name: string) =>
  Effect.flatMap(SqlClient, (sql) => sql`SELECT current_setting(${name}) AS value`).pipe(
    Effect.map(([row]) => String(row?.["value"])),
    Effect.orElseSucceed(() => "unknown")
  )

/** Whether what was acknowledged survives a power loss, as far as the database decides that. */
const examineDurability = Effect.gen(function*() {
  const sql = yield* SqlClient
  const onServer = Effect.gen(function*() {
    const [fsync, synchronous] = [yield* settingOf("fsync"), yield* settingOf("synchronous_commit")]
    if (fsync === "off") {
      return {
        check: "durability",
        status: "wrong",
        finding: "fsync is off: a crash of the server can destroy the database",
        advice: "Set fsync = on in postgresql.conf"
      } satisfies Finding
    }
    return synchronous === "off"
      ? {
        check: "durability",
        status: "wrong",
        finding: "synchronous_commit is off: commands that were acknowledged can be lost",
        advice: "Set synchronous_commit = on for the role or the database"
      } satisfies Finding
      : ok("durability", `fsync is ${fsync} and synchronous_commit is ${synchronous}`)
  })
  return yield* sql.onDialectOrElse({
    pg: () => onServer,
    orElse: () =>
      Effect.succeed(
        ok("durability", "commands survive a power loss, except those of programs with synchronous: \"normal\"")
      )
  })
})

/** Verifies the rows, and looks at the clocks that wrote the journal. */
const examineRows = Effect.gen(function*() {
  const output = yield* Output
  const { clocks, progress } = yield* Effect.scoped(Effect.gen(function*() {
    const progress = yield* makeProgress(output)
    const { verify } = yield* Journal
    const clocks = yield* Stream.runFold(
      Stream.tap(verify, progress.add),
      { count: 0, last: "" },
      (found, step) => ({
        count: found.count + step.clocks.length,
        last: step.clocks.map(clockMessage).at(-1) ?? found.last
      })
    )
    return { clocks, progress }
  }))
  const findings: Array<Finding> = [
    progress.differences === 0 ? ok("rows", `they agree with the journal: ${covered(progress.last)}`) : {
      check: "rows",
      status: "wrong",
      finding: `${counted(progress.differences, "difference")} from the journal in ${covered(progress.last)}`,
      advice: `caravel verify names them. ${advice(progress)}`
    },
    clocks.count === 0 ? ok("clocks", "no event is earlier than the one before it by more than clocks may differ") : {
      check: "clocks",
      status: "warning",
      finding: `${counted(clocks.count, "finding")} of wrong clocks, the last one: ${clocks.last}`,
      advice: "Synchronize the clocks of all machines (NTP); caravel verify names each finding"
    }
  ]
  return findings
})

/** Whether the wallet URLs can be read with the keys that are configured. */
const examineSecrets = Effect.gen(function*() {
  const { streamTenants } = yield* Query
  const readable = yield* Stream.runFold(streamTenants(), 0, (count, { nwcUrl }) => nwcUrl === null ? count : count + 1)
  return ok("secrets", `${counted(readable, "wallet URL")}, all readable`)
}).pipe(
  Effect.catchTags({
    ParseError: Effect.die,
    StorageError: (error) =>
      Effect.succeed<Finding>({
        check: "secrets",
        status: "wrong",
        finding: Render.messageOf(error),
        advice: error.reason === "key"
          ? "Set CARAVEL_SECRET_KEYS to the key; until then no tenant that has a wallet URL can be read"
          : null
      })
  })
)

/** How far a consumer that runs may be behind, in seconds. */
const longLag = 300

const consumerFinding = (lag: Consumer.Lag, current: Epoch): Finding | undefined => {
  const { activities, name } = lag
  const finding = (status: Finding["status"], finding: string, advice: string): Finding => ({
    check: "consumers",
    status,
    finding: `${name} ${finding}`,
    advice
  })
  if (lag.epoch !== current) {
    return finding(
      "wrong",
      "has handled activities of an earlier epoch, before a restore",
      `Decide what to do about their effects, then: caravel consumers reset ${name} --to POSITION --yes`
    )
  }
  if (lag.status === "halted") {
    return finding(
      "wrong",
      `has halted at ${lag.failedPosition}: ${withoutSecrets(lag.lastError ?? "")}`,
      `Fix the cause and start its program again, or skip the activity: caravel consumers reset ${name} --to ${lag.failedPosition} --yes`
    )
  }
  if (lag.parked > 0) {
    return finding(
      "wrong",
      `has parked ${lag.parked === 1 ? "1 activity" : `${lag.parked} activities`}`,
      `caravel consumers parked ${name} shows why; then caravel consumers replay ${name} or caravel consumers drop ${name} --yes`
    )
  }
  const behind = `with ${activities === 1 ? "1 activity" : `${activities} activities`} to handle`
  if (lag.status === "stopped" && activities > 0) {
    return finding("warning", `is not running, ${behind}`, "Start the program that runs it")
  }
  return lag.seconds > longLag
    ? finding("warning", `is ${Math.floor(lag.seconds / 60)} minutes behind, ${behind}`, "See the log of its program")
    : undefined
}

const examineConsumers = Effect.gen(function*() {
  const lags = yield* Consumer.list
  const epoch = yield* Effect.flatMap(Journal, ({ epoch }) => epoch)
  const findings = Arr.filterMap(lags, (lag) => Option.fromNullable(consumerFinding(lag, epoch)))
  return findings.length > 0 ? findings : [ok("consumers", `${counted(lags.length, "consumer")}, none behind`)]
})

/** What a database that could be opened can tell. One that is missing has not been examined. */
const examineOpened = (database: DatabaseName) =>
  Effect.gen(function*() {
    const durability = yield* examineDurability
    const schema = ok("schema", `version ${schemaVersion}, the one of this Caravel`)
    return [durability, schema, ...(yield* examineRows), yield* examineSecrets, ...(yield* examineConsumers)]
  }).pipe(
    Effect.provide(layerOf(database, { create: false, migrate: false })),
    Effect.catchIf(
      (error): error is StorageError => error._tag === "StorageError" && error.reason !== "missing",
      (error) =>
        Effect.succeed<ReadonlyArray<Finding>>([{
          check: error.reason === "older" || error.reason === "newer" ? "schema" : "database",
          status: "wrong",
          finding: Render.messageOf(error),
          advice: null
        }])
    )
  )

const paints = { ok: "green", warning: "yellow", wrong: "red" } as const

const table = (
  findings: ReadonlyArray<Finding>,
  { columns, style }: { readonly columns: number; readonly style: Style }
) =>
  Layout.table(
    ["", "check", "finding"],
    findings.map(({ advice, check, finding, status }) => [
      { text: status, paint: style[paints[status]] },
      check,
      advice === null ? finding : `${finding}. ${advice}`
    ]),
    { columns, style }
  )

/** Prints every finding. Fails if one is wrong. */
const doctor = Effect.fn("Doctor.doctor")(
  function*({ database, json }: { readonly database: DatabaseName; readonly json: boolean }) {
    const output = yield* Output
    const files = "filename" in database ? yield* examineFiles(database) : []
    const findings = [...files, ...(yield* examineOpened(database))]
    const wrong = findings.filter(({ status }) => status === "wrong").length
    const warnings = findings.filter(({ status }) => status === "warning").length
    const lines = output.isTerminal && !json ? table(findings, output) : [
      ...findings.map((finding) => JSON.stringify(finding)),
      JSON.stringify({ ok: wrong === 0, wrong, warnings })
    ]
    yield* Effect.forEach(lines, output.print, { discard: true })
    if (wrong > 0) return yield* new Failed({ message: "" })
  },
  toTheEnd
)

/** The subcommands of this family. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = [
  Subcommand.make({
    name: "doctor",
    help:
      "Examines the database and what uses it: the files, settings, schema, rows, clocks, secrets and consumers. Says what to do " +
      "about each finding, and changes nothing. The exit code is 1 if something is wrong; warnings do not count.",
    options: { json, database },
    execute: doctor
  })
]
