/** Migrating, repairing, and removing secrets. */
import { Command, Journal, Query, Secrets, type Tenant } from "@caravel/domain"
import Database from "better-sqlite3"
import { Effect, Redacted, Stream } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import { check, create, must, mustBeSound, mustWork, pubkey, withDatabase } from "./Databases.js"
import { make, type Operation } from "./Operation.js"

const filenameIn = (directory: string) => join(directory, "caravel.db")

const urlIn = ({ nwcUrl }: Tenant) => nwcUrl === null ? "" : Redacted.value(nwcUrl)

const frozen = new URL("../../../sql/test/frozen/", import.meta.url)

/** Migrates a database of an earlier version. */
export const migrate = (version: string): Operation =>
  make({
    title: `migration from ${version}`,
    prepare: (directory) =>
      Effect.sync(() => {
        const database = new Database(filenameIn(directory))
        database.pragma("journal_mode = WAL")
        database.exec(fs.readFileSync(new URL(`${version}.sql`, frozen), "utf8"))
        database.close()
      }),
    run: (directory, acknowledge) =>
      withDatabase(filenameIn(directory), acknowledge("migrated"), { synchronous: "full" }),
    check: (directory) =>
      withDatabase(
        filenameIn(directory),
        Effect.gen(function*() {
          const query = yield* Query
          const positions = (yield* query.activity()).map(({ position }) => position)
          yield* must(positions.join() === "1,2,4", `after a migration, the positions are ${positions.join()}`)
          const [tenant] = yield* query.tenants
          const isKept = tenant !== undefined && urlIn(tenant) === "nostr+walletconnect://frozen"
          yield* must(isKept, "after a migration, the wallet URL is not there")
          yield* mustBeSound
          yield* mustWork
        })
      )
  })

const damage = `UPDATE caravel_relay SET info_name = 'damaged' WHERE id = 'r-3';
  DELETE FROM caravel_relay WHERE id = 'r-5'`

const relays = 30

/** Repairs rows that differ from the journal. */
export const rebuild: Operation = make({
  title: "rebuild",
  prepare: (directory) =>
    Effect.zipRight(
      create(filenameIn(directory), relays),
      Effect.sync(() => {
        const database = new Database(filenameIn(directory))
        database.exec(damage)
        database.close()
      })
    ),
  run: (directory, acknowledge) =>
    withDatabase(
      filenameIn(directory),
      Effect.flatMap(Journal, (journal) => Effect.zipRight(journal.rebuild(), acknowledge("rebuilt"))),
      { synchronous: "full" }
    ),
  check: (directory, acknowledged) =>
    withDatabase(
      filenameIn(directory),
      Effect.gen(function*() {
        const journal = yield* Journal
        const steps = yield* Stream.runCollect(journal.verify)
        const drifts = [...steps].flatMap(({ differences }) => differences)
        const isAsBefore = drifts.length === 2 && drifts.every(({ resourceId }) => ["r-3", "r-5"].includes(resourceId))
        yield* must(
          drifts.length === 0 || isAsBefore && acknowledged.length === 0,
          `after a rebuild (${acknowledged.join()}), verification finds ${JSON.stringify(drifts)}`
        )
        yield* must((yield* journal.rebuild()) === drifts.length, "a second rebuild does not repair what is left")
        yield* mustBeSound
        yield* must((yield* (yield* Query).relays).length === relays, "a rebuild has not restored all relays")
        yield* mustWork
      })
    )
})

const tenantOf = (n: number) => n.toString(16).padStart(64, "b")
const markOf = (n: number | string, which: string) => `<${n}-${which}>`
const urlOf = (mark: string, length: number) => `nostr+walletconnect://${mark.repeat(length / mark.length)}`

/** The texts that are in a file of the directory, or in one below it. */
const found = (directory: string, texts: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const names = fs.readdirSync(directory, { recursive: true, withFileTypes: true })
    const files = names.filter((entry) => entry.isFile()).map(({ name, parentPath }) =>
      fs.readFileSync(join(parentPath, name))
    )
    return texts.filter((text) => files.some((bytes) => bytes.includes(text)))
  })

/** Erases wallet URLs that were replaced before. */
export const erase: Operation = make({
  title: "erasure of secrets",
  prepare: (directory) => create(filenameIn(directory), 5),
  run: (directory, acknowledge) =>
    withDatabase(
      filenameIn(directory),
      Effect.gen(function*() {
        const command = yield* Command
        const secrets = yield* Secrets
        for (let n = 0; n < 5; n++) {
          const tenant = tenantOf(n)
          yield* command.createTenant({ pubkey: tenant, nwcUrl: urlOf(markOf(n, "first"), 6000) })
          yield* command.updateTenant({ pubkey: tenant, nwcUrl: urlOf(markOf(n, "second"), 500) })
          yield* secrets.eraseTenantSecrets({ pubkey: tenant })
          yield* acknowledge(String(n))
        }
      }),
      { synchronous: "full" }
    ),
  check: (directory, acknowledged) =>
    Effect.gen(function*() {
      const marks = acknowledged.flatMap((n) => [markOf(n, "first"), markOf(n, "second")])
      const left = yield* found(directory, marks)
      yield* must(left.length === 0, `erased, acknowledged and found in the files: ${left.join(" ")}`)
      yield* withDatabase(
        filenameIn(directory),
        Effect.gen(function*() {
          const query = yield* Query
          const secrets = yield* Secrets
          yield* mustBeSound
          for (const tenant of yield* query.tenants) {
            if (tenant.pubkey === pubkey || tenant.nwcUrl === null) continue
            yield* secrets.eraseTenantSecrets(tenant)
          }
          yield* mustBeSound
        })
      )
      const still = yield* found(directory, ["first>", "second>"])
      yield* must(still.length === 0, `after all were erased, in the files: ${still.join(" ")}`)
      yield* check(filenameIn(directory))
    })
})

const keys = [Redacted.make(Buffer.alloc(32, 7).toString("base64"))]
const clear = Array.from({ length: 20 }, (_, n) => markOf(n, "clear"))

/** Encrypts wallet URLs that were stored in clear. */
export const rotate: Operation = make({
  title: "encryption of secrets",
  prepare: (directory) =>
    Effect.zipRight(
      create(filenameIn(directory), 5),
      withDatabase(
        filenameIn(directory),
        Effect.flatMap(Command, (command) =>
          Effect.forEach(clear, (mark, n) =>
            command.createTenant({ pubkey: tenantOf(n), nwcUrl: urlOf(mark, 1000) })))
      )
    ),
  run: (directory, acknowledge) =>
    withDatabase(
      filenameIn(directory),
      Effect.flatMap(Secrets, (secrets) => Effect.zipRight(secrets.rotate(), acknowledge("rotated"))),
      { synchronous: "full", secretKeys: keys }
    ),
  check: (directory, acknowledged) =>
    Effect.gen(function*() {
      if (acknowledged.length > 0) {
        const left = yield* found(directory, clear)
        yield* must(left.length === 0, `encrypted, acknowledged and found in clear: ${left.join(" ")}`)
      }
      yield* withDatabase(
        filenameIn(directory),
        Effect.gen(function*() {
          yield* mustBeSound
          yield* (yield* Secrets).rotate()
          const tenants = yield* (yield* Query).tenants
          for (const [n, mark] of clear.entries()) {
            const tenant = tenants.find(({ pubkey }) => pubkey === tenantOf(n))
            const isKept = tenant !== undefined && urlIn(tenant).includes(mark)
            yield* must(isKept, `the wallet URL of tenant ${n} is not there`)
          }
        }),
        { synchronous: "normal", secretKeys: keys }
      )
      const still = yield* found(directory, clear)
      yield* must(still.length === 0, `after all were encrypted, in clear: ${still.join(" ")}`)
      yield* check(filenameIn(directory), { synchronous: "normal", secretKeys: keys })
    })
})
