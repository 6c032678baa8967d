// With which errors files are refused is what is looked at here.
// @effect-diagnostics anyUnknownInErrorContext:off
/** Input as files: databases to import, backups to restore and databases to copy, of which most are damaged. */
import { Command, StorageError } from "@caravel/domain"
import { Backup, Copy, Import, Sqlite } from "@caravel/sql"
import SqliteDatabase from "better-sqlite3"
import { Effect, FastCheck as fc, Predicate } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import { drifts } from "../Drifts.js"
import * as Entrance from "./Entrance.js"
import { secret } from "./Payloads.js"
import { garbled, texts } from "./Values.js"

const pubkey = "a".repeat(64)

/** A database with some of everything, as one file. */
const sample = (directory: string) =>
  Effect.gen(function*() {
    const [filename, backup] = [join(directory, "sample.db"), join(directory, "sample.backup")]
    yield* Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey, nwcUrl: `nostr+walletconnect://wallet?secret=${secret}` })
      for (let n = 0; n < 20; n++) {
        yield* command.createRelay({
          id: `r${n}`,
          tenant: pubkey,
          subdomain: `r${n}`,
          infoDescription: "x".repeat(n * 300)
        })
        yield* command.failRelaySync({ id: `r${n}` }, "it failed").pipe(Command.withIdempotencyKey(`key ${n}`))
      }
    }).pipe(Effect.provide(Sqlite.layer({ filename, synchronous: "normal" })))
    yield* Backup.backup({ from: filename, to: backup })
    return yield* Effect.promise(() => fs.readFile(backup))
  })

/** A database that was accepted is sound: it opens, and its rows agree with its journal. */
const isSound = (filename: string) =>
  drifts.pipe(
    Effect.provide(Sqlite.layer({ filename, synchronous: "normal" })),
    Effect.map((found) => found.length === 0 ? undefined : `it was accepted, with ${JSON.stringify(found)}`),
    Effect.catchAll((error) => Effect.succeed(`it was accepted, and does not open: ${String(error)}`))
  )

const refusals = ["StorageError", "UnusableSource", "NotACopy", "FileExists"]

/** Accepts what was done if it is sound, and a typed refusal if it leaves nothing behind. */
const judged = (
  done: Effect.Effect<unknown, unknown>,
  target: string,
  leaves: boolean
): Effect.Effect<Entrance.Answer> =>
  Effect.matchEffect(done, {
    onSuccess: () => Effect.map(isSound(target), (wrong) => wrong === undefined ? 1 : { wrong }),
    onFailure: (error) =>
      Effect.promise(async (): Promise<Entrance.Answer> => {
        const shown = String(error)
        if (!Predicate.hasProperty(error, "_tag") || !refusals.includes(String(error._tag))) {
          return { wrong: `not a typed refusal: ${shown}` }
        }
        if (error instanceof StorageError && error.reason === "other") {
          return { wrong: `its reason is not known: ${shown}` }
        }
        if (shown.includes(secret)) return { wrong: `the error shows a wallet URL: ${shown}` }
        const left = await fs.stat(target).then(() => true, () => false)
        return left && !leaves ? { wrong: `it was refused, and ${target} exists: ${shown}` } : 0
      })
  })

const removed = (...filenames: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    for (const filename of filenames) {
      for (const suffix of ["", "-wal", "-shm"]) await fs.rm(`${filename}${suffix}`, { force: true })
    }
  })

/** Entrances of a damaged sample. */
const ofFiles = (
  name: string,
  counts: Entrance.Entrance["counts"],
  move: (from: string, to: string) => Effect.Effect<unknown, unknown>,
  leaves: boolean
) =>
  Entrance.make<Buffer>({
    name,
    counts,
    open: (directory) =>
      Effect.map(sample(directory), (bytes) => {
        const [from, to] = [join(directory, "from.db"), join(directory, "to.db")]
        return {
          inputs: garbled(fc.constant(bytes)),
          answer: (bytes) =>
            removed(from, to).pipe(
              Effect.zipRight(Effect.promise(() => fs.writeFile(from, bytes))),
              Effect.zipRight(judged(Effect.suspend(() => move(from, to)), to, leaves))
            )
        }
      })
  })

/** Backups to restore. */
export const backups = ofFiles(
  "backups",
  { short: 30, long: 3_000 },
  (from, to) => Backup.restore({ from, to }),
  false
)

/** Databases to copy. A copy that was refused can be continued, so it stays. */
export const copies = ofFiles(
  "databases to copy",
  { short: 30, long: 3_000 },
  (from, to) => Copy.copy({ from: { filename: from, migrate: false }, to: { filename: to } }),
  true
)

const cell = fc.oneof(
  texts,
  fc.constantFrom(null, 0, 1, -1, 1.5, 1e18, "1", "true", Buffer.of(0, 255), pubkey, "active", "free", "create_relay"),
  fc.constantFrom(1_600_000_000, "2026-11-29", 253_402_300_800, -62_135_596_801)
)

/** A table of the program that Caravel replaces: the usual values of its columns. */
const tables = {
  tenant: {
    pubkey,
    nwc_url: `nostr+walletconnect://wallet?secret=${secret}`,
    nwc_error: null,
    created_at: 1_600_000_000,
    stripe_customer_id: "cus_1",
    stripe_subscription_id: null,
    past_due_at: null
  },
  relay: {
    id: "r1",
    tenant: pubkey,
    subdomain: "r1",
    plan: "free",
    info_name: "",
    info_icon: "",
    info_description: "",
    policy_public_join: 0,
    policy_strip_signatures: 0,
    groups_enabled: 1,
    management_enabled: 1,
    blossom_enabled: 0,
    livekit_enabled: 0,
    push_enabled: 0,
    status: "active",
    synced: 1,
    sync_error: "",
    stripe_subscription_item_id: null,
    created_at: 1_600_000_001
  },
  activity: {
    id: "0b1e2f6e-7d6c-4a39-9d0e-2f1a8b7c5d4e",
    tenant: pubkey,
    created_at: 1_600_000_002,
    activity_type: "create_relay",
    resource_type: "relay",
    resource_id: "r1"
  }
} as const

type Table = keyof typeof tables
type Source = { readonly [T in Table]: ReadonlyArray<Record<string, unknown>> }

const rowsOf = (table: Table) =>
  fc.array(
    fc.array(fc.tuple(fc.constantFrom(...Object.keys(tables[table])), cell), { maxLength: 2 }).map((
      changes
    ): Record<string, unknown> => ({ ...tables[table], ...Object.fromEntries(changes) })),
    { maxLength: 4 }
  )

const sources: fc.Arbitrary<Source> = fc.record({
  tenant: rowsOf("tenant"),
  relay: rowsOf("relay"),
  activity: rowsOf("activity")
})

const writeSource = (filename: string, source: Source) => {
  const database = new SqliteDatabase(filename)
  try {
    for (const [table, rows] of Object.entries(source)) {
      const columns = Object.keys(tables[table as Table])
      database.exec(`CREATE TABLE ${table} (${columns.join(", ")})`)
      const insert = database.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => "?").join(", ")})`)
      for (const row of rows) insert.run(columns.map((column) => row[column]))
    }
  } finally {
    database.close()
  }
}

/** Databases of another program, to import. */
export const imports = Entrance.make<Source>({
  name: "databases to import",
  counts: { short: 40, long: 4_000 },
  open: (directory) =>
    Effect.succeed({
      inputs: sources,
      answer: (source) => {
        const [from, to] = [join(directory, "theirs.db"), join(directory, "imported.db")]
        const imported = Effect.gen(function*() {
          const report = yield* Import.run({ source: from })
          const rows = source.tenant.length + source.relay.length + source.activity.length
          const { activities, refused, relays, tenants } = report
          return activities + refused + relays + tenants === rows
            ? yield* Effect.void
            : yield* Effect.dieMessage(`of ${rows} rows, ${JSON.stringify(report)}`)
        }).pipe(Effect.provide(Sqlite.layer({ filename: to, synchronous: "normal" })))
        return removed(from, to).pipe(
          Effect.zipRight(Effect.sync(() => writeSource(from, source))),
          Effect.zipRight(judged(imported, to, true))
        )
      }
    })
})
