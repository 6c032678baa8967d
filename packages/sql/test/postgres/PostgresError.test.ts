/** The classification of errors: of the server, of poolers in front of it, and of the driver. */
import { Postgres } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import Pg from "pg"
import * as PostgresConnection from "../../src/postgres/PostgresConnection.js"
import { postgres } from "../../src/postgres/PostgresDialect.js"
import { errorOf, type Kind, kindOf } from "../../src/postgres/PostgresError.js"
import { withPostgres } from "../fixtures/postgres.js"

const pick = ({ connection, passes, reason }: Kind) => [reason, passes ? "passes" : "stays", connection]

/** The expected classification of a statement's errors from the server. */
const codes: ReadonlyArray<readonly [code: string, ...Parameters<typeof Array.of<string>>]> = [
  ["08000", "unavailable", "passes", "lost"],
  ["08006", "unavailable", "passes", "lost"],
  ["08P01", "unavailable", "passes", "lost"],
  ["0A000", "other", "passes", "stale"],
  ["22021", "other", "stays", "usable"],
  ["23503", "other", "stays", "usable"],
  ["23505", "other", "stays", "usable"],
  ["25006", "readonly", "passes", "stale"],
  ["25P02", "other", "stays", "usable"],
  ["25P03", "unavailable", "passes", "lost"],
  ["25P04", "unavailable", "passes", "lost"],
  ["26000", "other", "passes", "stale"],
  ["40001", "busy", "passes", "usable"],
  ["40002", "other", "stays", "usable"],
  ["40P01", "busy", "passes", "usable"],
  ["42501", "readonly", "stays", "usable"],
  ["42601", "other", "stays", "usable"],
  ["42P01", "other", "stays", "usable"],
  ["42P05", "other", "passes", "stale"],
  ["53000", "busy", "passes", "usable"],
  ["53100", "full", "stays", "usable"],
  ["53200", "busy", "passes", "usable"],
  ["53300", "unavailable", "passes", "lost"],
  ["53400", "other", "stays", "usable"],
  ["55000", "other", "stays", "usable"],
  ["55006", "busy", "passes", "usable"],
  ["55P03", "busy", "passes", "usable"],
  ["57000", "unavailable", "passes", "lost"],
  ["57014", "busy", "passes", "usable"],
  ["57P01", "unavailable", "passes", "lost"],
  ["57P02", "unavailable", "passes", "lost"],
  ["57P03", "unavailable", "passes", "lost"],
  ["57P05", "unavailable", "passes", "lost"],
  ["58030", "other", "stays", "usable"],
  ["P0001", "other", "stays", "usable"],
  ["XX000", "other", "stays", "usable"],
  ["XX001", "corrupt", "stays", "usable"],
  ["XX002", "corrupt", "stays", "usable"],
  ["ZEPOC", "replaced", "stays", "usable"]
]

/** Errors of the driver itself. */
const thrown: ReadonlyArray<readonly [Error, reason: string, connection: string]> = [
  ...[
    "ECONNRESET",
    "ECONNREFUSED",
    "ETIMEDOUT",
    "EPIPE",
    "EHOSTUNREACH",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ENOENT",
    "CERT_HAS_EXPIRED"
  ]
    .map((code) => [Object.assign(new Error(`read ${code}`), { code }), "unavailable", "lost"] as const),
  [new Error("Connection terminated"), "unavailable", "lost"],
  [new Error("Connection terminated unexpectedly"), "unavailable", "lost"],
  [new Error("Client has encountered a connection error and is not queryable"), "unavailable", "lost"],
  [new Error("Received unexpected dataRow message from backend."), "unavailable", "lost"],
  [new TypeError("Converting circular structure to JSON"), "other", "usable"],
  [new RangeError("The value of \"value\" is out of range."), "other", "usable"]
]

/** A server that refuses every connection, as PostgreSQL or a pooler may. */
const refusing = (code: string, message: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Server>((resume) => {
        const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
        const head = Buffer.alloc(5)
        head.write("E")
        head.writeInt32BE(body.length + 4, 1)
        const server = createServer((socket) => {
          socket.on("error", () => {})
          socket.once("data", () => socket.end(Buffer.concat([head, body])))
        }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => `postgres://user@127.0.0.1:${(server.address() as { readonly port: number }).port}/database`
  )

/** An error on an open connection. */
const said = (code: string, severity: string) =>
  Object.assign(new Pg.DatabaseError("it ends", 0, "error"), { code, severity })

describe("PostgreSQL: the classification of an error", () => {
  it("is a lost connection if it is fatal, unless every other connection would get it too", () => {
    for (const severity of ["FATAL", "PANIC"]) {
      for (const code of ["XX000", "58000", "58030", "55000", "P0001"]) {
        expect([code, ...pick(kindOf(said(code, severity)))]).toEqual([code, "unavailable", "passes", "lost"])
        expect([code, ...pick(kindOf(said(code, "ERROR")))]).toEqual([code, "other", "stays", "usable"])
      }
      for (const code of ["28000", "28P01", "3D000", "22023"]) {
        expect([code, ...pick(kindOf(said(code, severity)))]).toEqual([code, "other", "stays", "usable"])
      }
    }
  })

  it("from the driver is a lost connection, unless the statement could not be sent", () => {
    for (const [error, reason, connection] of thrown) {
      const kind = kindOf(errorOf(error))
      expect([error.message, kind.reason, kind.connection]).toEqual([error.message, reason, connection])
    }
  })

  it.scopedLive.each(
    [
      ["XX000", "Max client connections reached", "unavailable"],
      ["58000", "could not get connection from the pool", "unavailable"],
      ["08P01", "query_wait_timeout", "unavailable"],
      ["53300", "sorry, too many clients already", "unavailable"],
      ["57P03", "the database system is starting up", "unavailable"],
      ["28P01", "password authentication failed", "other"],
      ["3D000", "database does not exist", "other"],
      ["42501", "permission denied for database", "readonly"]
    ] as const
  )("that refuses a connection with %s: %s", ([code, message, reason]) =>
    Effect.gen(function*() {
      const url = yield* refusing(code, message)
      const { cause } = yield* Effect.flip(PostgresConnection.connect({ connectionString: url }))
      expect([postgres.reasonOf(cause), String((cause as Error).message)]).toEqual([reason, message])
    }))

  it.scopedLive("from a full pooler is unavailable, not corrupt, and is waited for", () =>
    Effect.gen(function*() {
      const url = yield* refusing("XX000", "Max client connections reached")
      const error = yield* Effect.flip(Layer.build(Postgres.layer({ url: Redacted.make(url) })))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "unavailable" })
      expect(error.message).toContain("Max client connections reached")
    }), 20_000)

  it("is tested for each code in the table", () => {
    const named = readFileSync(new URL("../../src/postgres/PostgresError.ts", import.meta.url), "utf8").match(
      /^  "?[0-9A-Z]{5}"?:/gm
    )!
    expect(
      named.map((line) => line.replace(/[^0-9A-Z]/g, "")).filter((code) => !codes.some(([tested]) => tested === code))
    )
      .toEqual([])
  })
})

withPostgres("PostgreSQL: the classification of a server's error", (url) => {
  it.scopedLive.each(codes)("%s", ([code, ...expected]) =>
    Effect.gen(function*() {
      const connection = yield* PostgresConnection.connect({ connectionString: url })
      // @effect-diagnostics-next-line anyUnknownInErrorContext:off
      const { cause } = yield* Effect.flip(
        connection.executeRaw(`DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '${code}'; END $$`, [])
      )
      expect(pick(kindOf(cause))).toEqual(expected)
      expect([connection.lost !== undefined, connection.isStale]).toEqual([
        expected[2] === "lost",
        expected[2] === "stale"
      ])
    }))
})
