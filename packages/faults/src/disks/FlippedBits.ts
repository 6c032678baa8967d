/**
 * Bits that are flipped in each kind of page of a database file, and in each part of its log.
 *
 * Everything that is read afterwards must be right, fail with a typed error, or be reported by `Journal.verify`. Where
 * the log is damaged, SQLite ends it there: the database is then as it was at an earlier commit.
 *
 * SQLite keeps no checksums of its pages. A bit that is flipped in a value that nothing else repeats, such as the
 * metadata of an event or a wallet URL in clear, is therefore not noticed; these values are not compared.
 */
import {
  Command,
  CreateRelay,
  defaultRelayOptions,
  Journal,
  Position,
  Query,
  RelayId,
  Subdomain
} from "@caravel/domain"
import { Backup, Sqlite } from "@caravel/sql"
import Database from "better-sqlite3"
import { Effect, Exit, Logger, LogLevel } from "effect"
import type { PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { join } from "node:path"
import { drifts } from "../Drifts.js"
import { pubkey, withDatabase } from "../operations/Databases.js"
import { copyOpen } from "../operations/OpenFiles.js"
import { attempt, type Case, CaseFailed, fail } from "./Case.js"

/** A database's files, and what is read from it. */
export interface Sound {
  /** The file once everything is in it. */
  readonly file: Buffer
  /** The file and its log while the last commits are only in the log. */
  readonly fileOfLog: Buffer
  readonly log: Buffer
  readonly pages: { readonly [kind: string]: ReadonlyArray<number> }
  readonly read: Read
}

/** What is read: events, rows and activities, as JSON. */
interface Read {
  readonly events: ReadonlyArray<string>
  readonly rows: ReadonlyArray<string>
  readonly activities: ReadonlyArray<string>
}

const pageSize = 4096

/** Writes a database with pages of each kind, the last commits of which are in its log. */
export const prepare = (directory: string) =>
  Effect.gen(function*() {
    const filename = join(directory, "caravel.db")
    const make = Effect.gen(function*() {
      const command = yield* Command
      yield* command.createTenant({ pubkey, nwcUrl: "nostr+walletconnect://sound" })
      const relays = Array.from({ length: 600 }, (_, n) =>
        new CreateRelay({
          ...defaultRelayOptions,
          id: RelayId.make(`r-${n}`),
          tenant: pubkey,
          subdomain: Subdomain.make(`r-${n}`),
          // Some rows do not fit into a page.
          infoDescription: `description ${n} `.repeat(n % 40 === 0 ? 500 : 1)
        }))
      yield* command.submit(relays as [CreateRelay, ...Array<CreateRelay>])
      // Erasing frees pages.
      for (let n = 0; n < 5; n++) {
        yield* command.updateTenant({ pubkey, nwcUrl: `nostr+walletconnect://${"long".repeat(8000)}` })
        yield* command.updateTenant({ pubkey, nwcUrl: "nostr+walletconnect://short" })
      }
    })
    yield* withDatabase(filename, make)
    const copy = `${filename}.copy`
    const found = yield* withDatabase(
      filename,
      Effect.gen(function*() {
        const command = yield* Command
        for (let n = 0; n < 10; n++) yield* command.updateRelay({ id: `r-${n}`, infoName: `name ${n}` })
        yield* Effect.sync(() => copyOpen(filename, copy))
        return yield* read
      })
    )
    // Closing the database has emptied the log.
    const file = fs.readFileSync(filename)
    const [fileOfLog, log] = [fs.readFileSync(copy), fs.readFileSync(`${copy}-wal`)]
    return { file, fileOfLog, log, pages: pagesOf(file), read: found } satisfies Sound
  })

/** The pages of a file by their kind. */
const pagesOf = (file: Buffer) => {
  const pages: { [kind: string]: Array<number> } = {}
  const add = (kind: string, page: number) => (pages[kind] ??= []).push(page)
  const free = new Set<number>()
  for (let trunk = file.readUInt32BE(32); trunk !== 0;) {
    const start = (trunk - 1) * pageSize
    free.add(trunk)
    add("freelist trunk", trunk)
    for (let n = 0; n < file.readUInt32BE(start + 4); n++) free.add(file.readUInt32BE(start + 8 + 4 * n))
    trunk = file.readUInt32BE(start)
  }
  const kinds: { readonly [type: number]: string } = {
    2: "index interior",
    5: "table interior",
    10: "index leaf",
    13: "table leaf"
  }
  for (let page = 1; page * pageSize <= file.length; page++) {
    if (free.has(page)) continue
    add(kinds[file[(page - 1) * pageSize + (page === 1 ? 100 : 0)]!] ?? "overflow", page)
  }
  return { ...pages, header: [1] }
}

const read = Effect.gen(function*() {
  const query = yield* Query
  const journal = yield* Journal
  const [tenants, relays] = [yield* query.tenants, yield* query.relays]
  const activities = yield* query.activity()
  const events = yield* journal.read(Position.make(0), 10_000)
  return {
    events: events.map(({ metadata: _, ...event }) => JSON.stringify(event)),
    rows: [...tenants.map(({ nwcUrl: _, ...tenant }) => tenant), ...relays].map((row) => JSON.stringify(row)),
    activities: activities.map((activity) => JSON.stringify(activity))
  } satisfies Read
})

/** Cases with some bits that are flipped near each other. */
export const cases = (sound: Sound, random: PCGRandom, count: number): ReadonlyArray<Case> => {
  const places = [...Object.keys(sound.pages), "log header", "log frame header", "log page"]
  return Array.from({ length: count }, (_, n): Case => {
    const place = places[n % places.length]!
    const offset = offsetIn(sound, place, random)
    const bits = Array.from({ length: 1 + random.integer(3) }, () => random.integer(8 * 4))
    return {
      group: `flipped bits, ${place}`,
      name: `${place}, from byte ${offset}, bits ${bits.join(", ")}`,
      run: ({ directory }) =>
        tryFlipped(sound, place, offset, bits, directory).pipe(
          Effect.mapError((error) => error instanceof CaseFailed ? error : new CaseFailed({ cause: error })),
          Logger.withMinimumLogLevel(LogLevel.None)
        )
    }
  })
}

const offsetIn = ({ log, pages }: Sound, place: string, random: PCGRandom): number => {
  const [header, frameHeader] = [32, 24]
  const frame = () =>
    header + random.integer((log.length - header) / (frameHeader + pageSize)) * (frameHeader + pageSize)
  if (place === "log header") return random.integer(header)
  if (place === "log frame header") return frame() + random.integer(frameHeader)
  if (place === "log page") return frame() + frameHeader + random.integer(pageSize)
  if (place === "header") return random.integer(100)
  const among = pages[place]!
  const start = (among[random.integer(among.length)]! - 1) * pageSize
  // Half of the bits are in what tells where the cells are.
  return start + random.integer(random.integer(2) === 0 ? 32 : pageSize)
}

const tryFlipped = (sound: Sound, place: string, offset: number, bits: ReadonlyArray<number>, directory: string) =>
  Effect.gen(function*() {
    const filename = join(directory, "caravel.db")
    const isInLog = place.startsWith("log")
    const bytes = Buffer.from(isInLog ? sound.log : sound.file)
    for (const bit of bits) {
      const at = offset + (bit >> 3)
      if (at < bytes.length) bytes[at]! ^= 1 << (bit & 7)
    }
    fs.writeFileSync(filename, isInLog ? sound.fileOfLog : bytes)
    if (isInLog) fs.writeFileSync(`${filename}-wal`, bytes)
    const opened = yield* attempt(
      "opening",
      Effect.scoped(Effect.provide(
        Effect.gen(function*() {
          const found = yield* attempt("reading", read)
          const differences = yield* attempt("verifying", drifts)
          return { found, differences }
        }),
        Sqlite.layer({ filename, synchronous: "normal" })
      ))
    )
    yield* tryBackup(sound, filename, isInLog)
    if (Exit.isFailure(opened)) return
    const { differences, found } = opened.value
    if (Exit.isFailure(found) || Exit.isFailure(differences) || differences.value.length > 0) return
    yield* mustBeRight(sound.read, found.value, isInLog)
  })

/** A backup of a damaged database is refused, or sound and right. */
const tryBackup = (sound: Sound, filename: string, mayBeEarlier: boolean) =>
  Effect.gen(function*() {
    const to = `${filename}.backup`
    if (Exit.isFailure(yield* attempt("a backup", Backup.backup({ from: filename, to })))) return
    const damage = yield* Effect.sync(() => {
      const database = new Database(to, { readonly: true })
      const found = database.pragma("integrity_check(1)", { simple: true })
      database.close()
      return found
    })
    if (damage !== "ok") return yield* fail(`a backup is made although ${String(damage)}`)
    const found = yield* withDatabase(to, read)
    yield* mustBeRight(sound.read, found, mayBeEarlier)
  })

const mustBeRight = (sound: Read, found: Read, mayBeEarlier: boolean) =>
  Effect.gen(function*() {
    const isPrefix = found.events.every((event, n) => event === sound.events[n])
    if (!isPrefix) {
      return yield* fail(`verification finds nothing, and events differ: ${firstOther(sound.events, found.events)}`)
    }
    if (mayBeEarlier) return
    for (const part of ["events", "rows", "activities"] as const) {
      if (found[part].join("\n") !== sound[part].join("\n")) {
        return yield* fail(`verification finds nothing, and ${part} differ: ${firstOther(sound[part], found[part])}`)
      }
    }
  })

const firstOther = (sound: ReadonlyArray<string>, found: ReadonlyArray<string>) => {
  const n = sound.findIndex((text, n) => text !== found[n])
  return `${sound[n]} has become ${found[n]}`
}
