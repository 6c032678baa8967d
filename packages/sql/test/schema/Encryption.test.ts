import { LongRun } from "@caravel/conformance"
import { Command } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Effect, Layer, Logger, LogLevel, Redacted, Stream, Tracer } from "effect"
import { createDecipheriv } from "node:crypto"
import { inspect } from "node:util"
import { found } from "../fixtures/bytes.js"
import { bundled, spawned } from "../fixtures/child.js"
import { create, key, keyIdOf, old, open, opened, stored, urls } from "../fixtures/encrypted.js"
import { marksOf, pubkeyOf, urlOf } from "../fixtures/marked.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const rounds = Math.ceil(LongRun.count("CARAVEL_KILLS", { usual: 10, long: 1000 }) / 10)

const pubkey = pubkeyOf("a", 0)
const [mark] = marksOf("a", 0)
const url = urlOf(mark)
const marks = [0, 1, 2].map((n) => marksOf("a", n)[0])

describe("with a key", () => {
  it.scopedLive(
    "no byte of a secret is in the files at any moment, while secrets are written and erased and after the process is killed",
    () =>
      Effect.gen(function*() {
        const filename = yield* temporaryFile
        const script = yield* bundled("./erasing.ts")
        for (let round = 0; round < rounds; round++) {
          const child = yield* spawned(script, [filename, `${round}f`, key])
          for (let lines = 1; lines < 20; lines += 2) {
            yield* child.writes(lines)
            expect(yield* found(filename, ["walletconnect", "-first>", "-second>"])).toEqual([])
          }
          yield* child.kill("SIGKILL")
          yield* child.ended
          expect(child.errors).toBe("")
          expect(yield* found(filename, ["walletconnect", "-first>", "-second>"])).toEqual([])
        }
        expect((yield* urls(filename, key)).length).toBeGreaterThan(rounds)
      }),
    LongRun.timeout(600_000)
  )

  it.scopedLive("a secret is encrypted with AES-256-GCM, bound to its id, and stored with the key's id", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 2, key)
      const [one, other] = yield* stored(filename)
      expect([one!.keyId, other!.keyId]).toEqual([keyIdOf(key), keyIdOf(key)])
      const bytes = Buffer.from(one!.value, "base64")
      const decipher = createDecipheriv("aes-256-gcm", Buffer.from(key, "base64"), bytes.subarray(0, 12))
        .setAAD(Buffer.from(one!.id)).setAuthTag(bytes.subarray(-16))
      expect(`${decipher.update(bytes.subarray(12, -16))}${decipher.final()}`).toBe(url)
      expect(yield* urls(filename, key)).toEqual([0, 1].map((n) => urlOf(marksOf("a", n)[0])))
      expect(Buffer.from(other!.value, "base64").subarray(0, 12)).not.toEqual(bytes.subarray(0, 12))
    }))

  it.scopedLive("a secret that was changed or exchanged for another is refused", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 2, key)
      const [one, other] = yield* stored(filename)
      const change = (value: string) =>
        Effect.scoped(
          Effect.map(
            raw(filename),
            (database) => database.prepare("UPDATE caravel_secret SET value = ? WHERE id = ?").run(value, one!.id)
          )
        )
      const another = one!.value.startsWith("A") ? "B" : "A"
      for (const value of [other!.value, `${another}${one!.value.slice(1)}`, one!.value.slice(8), "", url]) {
        yield* change(value)
        const error = yield* Effect.flip(urls(filename, key))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "corrupt" })
        expect(error.message).toContain(`secret ${one!.id} was changed after it was encrypted`)
        expect(inspect(error, { depth: 9 })).not.toContain(mark)
      }
      yield* change(one!.value)
      expect((yield* urls(filename, key))[0]).toBe(url)
    }))

  it.scopedLive("plaintext secrets are read, and stay in plaintext until they are replaced or rotated", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 3)
      expect((yield* urls(filename, key))[0]).toBe(url)
      const { command, query, secrets } = yield* open(filename, key)
      const nwcUrl = urlOf("<replaced>")
      const all = Effect.map(
        query.tenants,
        (tenants) => tenants.map(({ nwcUrl }) => nwcUrl && Redacted.value(nwcUrl))
      )
      yield* command.updateTenant({ pubkey: pubkeyOf("a", 0), nwcUrl })
      yield* secrets.eraseTenantSecrets({ pubkey: pubkeyOf("a", 1) })
      expect(yield* found(filename, [...marks, "<replaced>"])).toEqual([marks[2]])
      expect(yield* all).toEqual([nwcUrl, null, urlOf(marks[2]!)])
      expect(yield* secrets.rotate()).toBe(1)
      expect(yield* found(filename, [...marks, "<replaced>", "walletconnect"])).toEqual([])
      expect(yield* all).toEqual([nwcUrl, null, urlOf(marks[2]!)])
    }))
})

describe("without the key", () => {
  it.scopedLive("only operations that need the key fail, with the key's id", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* create(filename, 1, key)
      yield* Effect.forEach([[], [old]], (keys) =>
        opened(filename, keys, ({ command, journal, query, secrets }) =>
          Effect.gen(function*() {
            const errors = [
              yield* Effect.flip(query.tenants),
              yield* Effect.flip(query.tenant(pubkey)),
              yield* Effect.flip(secrets.rotate())
            ]
            for (const error of errors) {
              expect(error).toMatchObject({ _tag: "StorageError", reason: "key" })
              expect(String(error)).toContain(`key ${keyIdOf(key)}, which is not among the keys`)
            }
            yield* Stream.runForEach(journal.verify, ({ differences }) =>
              Effect.sync(() =>
                expect(differences).toEqual([])
              ))
            yield* command.setTenantPastDue(pubkey)
            yield* command.createRelay({ id: `r${keys.length}`, tenant: pubkey, subdomain: `r${keys.length}` })
          })))
      yield* opened(filename, [], ({ query, secrets }) =>
        Effect.zipRight(
          secrets.eraseTenantSecrets({ pubkey }),
          Effect.map(query.tenants, ([tenant]) => expect(tenant!.nwcUrl).toBe(null))
        ))
    }))

  it.scopedLive("no secret is stored in plaintext once others are encrypted, even by a program that opened the database before", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const { command } = yield* open(filename)
      const created = command.createTenant({ pubkey: pubkeyOf("a", 1), nwcUrl: urlOf("<clear>") })
      yield* create(filename, 1, key)
      const error = yield* Effect.flip(created)
      expect(error.message).toContain("the secrets of this database are encrypted: open it with their keys")
      expect(yield* found(filename, ["<clear>"])).toEqual([])
      // Nor once the last of them is erased.
      yield* opened(filename, [old], ({ secrets }) => secrets.eraseTenantSecrets({ pubkey }))
      expect((yield* Effect.flip(created)).message).toBe(error.message)
      expect(yield* found(filename, ["<clear>"])).toEqual([])
    }))

  it.scopedLive("the database does not open with a malformed key, and the error does not contain it", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const hex = Buffer.from(key, "base64").toString("hex")
      expect(keyIdOf(hex)).toBe(keyIdOf(key))
      expect(keyIdOf(`${key.slice(0, -1)}\n`)).toBe(keyIdOf(key))
      for (const wrong of ["", "wr0ng", key.slice(4), `${key}AAAA`, hex.slice(2), `${key.slice(0, -2)}!=`]) {
        const error = yield* Effect.flip(Effect.scoped(open(filename, key, wrong)))
        expect(error).toMatchObject({ _tag: "StorageError", reason: "key" })
        expect(error.message).toContain("secret key number 2 is not 32 bytes in base64 or hex")
        if (wrong !== "") expect(inspect(error, { depth: 9 })).not.toContain(wrong)
      }
    }))
})

describe("keys", () => {
  it.scopedLive("can come from the configuration", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const layer = Sqlite.layerConfig({
        filename: Config.succeed(filename),
        secretKeys: Config.array(Config.redacted(), "KEYS")
      }).pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["KEYS", `${key},${old}`]])))))
      yield* Effect.provide(
        Effect.flatMap(Command, (command) => command.createTenant({ pubkey, nwcUrl: url })),
        layer
      )
      expect(yield* urls(filename, key)).toEqual([url])
    }))

  it.scopedLive("and secrets are in no span, log or error", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      const seen: Array<unknown> = []
      const native = yield* Effect.tracer
      const tracer = Tracer.make({
        span: (...parameters) => {
          const span = native.span(...parameters)
          seen.push(span)
          return span
        },
        context: (f) => f()
      })
      const logger = Logger.make(({ annotations, cause, message }) =>
        seen.push(message, Cause.pretty(cause), annotations)
      )
      yield* Effect.gen(function*() {
        yield* create(filename, 3, old)
        yield* opened(filename, [key, old], ({ command, query, secrets }) =>
          Effect.gen(function*() {
            yield* Effect.log(yield* query.tenants)
            yield* secrets.rotate()
            yield* command.updateTenant({ pubkey, nwcUrl: urlOf("<a-second>") })
            yield* secrets.eraseTenantSecrets({ pubkey })
          }))
        seen.push(yield* Effect.exit(urls(filename, old)))
      }).pipe(
        Effect.withTracer(tracer),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )
      const shown = inspect(seen, { depth: 12, maxArrayLength: null })
      expect(shown).toContain("Secrets.rotate")
      expect(shown).toContain("<redacted>")
      for (const text of [mark, "-second>", "walletconnect", key, old, Buffer.from(old, "base64").toString("hex")]) {
        expect(shown).not.toContain(text)
      }
    }))
})
