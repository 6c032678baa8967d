import { SafeIntegers } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { join } from "node:path"
import * as Program from "../src/Program.js"
import * as SqliteConnection from "../src/SqliteConnection.js"
import { temporaryDirectory } from "./fixtures/sqlite.js"

const connected = Effect.flatMap(temporaryDirectory, (directory) => SqliteConnection.make(join(directory, "a.db")))

describe("the writing connection", () => {
  it.scopedLive("gives integers as who asks wants them, from one statement", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      const one = connection.execute("SELECT 1 AS one", [], undefined)
      expect(yield* one).toEqual([{ one: 1 }])
      expect(yield* Effect.provideService(one, SafeIntegers, true)).toEqual([{ one: 1n }])
      expect(yield* one).toEqual([{ one: 1 }])
      expect(yield* connection.executeValues("SELECT 1 AS one", [])).toEqual([[1]])
      expect(yield* connection.executeRaw("SELECT 1 AS one", [])).toEqual([{ one: 1 }])
    }))

  it.scopedLive("prepares more statements than it keeps", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      for (let round = 0; round < 2; round++) {
        for (let n = 0; n < 300; n++) expect(yield* connection.executeValues(`SELECT ${n}`, [])).toEqual([[n]])
      }
    }))

  it.scopedLive("fails with what the driver throws, be it while it prepares or executes", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      for (const [text, params] of [["not SQL", []], ["SELECT ?", [{}, 1]]] as const) {
        expect(yield* Effect.flip(connection.execute(text, params, undefined))).toMatchObject({ _tag: "SqlError" })
        const answer = connection.answer?.({ statement: [text, params, 0], answer: "values" })
        expect(answer && Either.isLeft(answer)).toBe(true)
      }
    }))
})

describe("a program", () => {
  it.scopedLive("gives the event loop its turn", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      let turns = 0
      const turn = () => {
        turns++
        next = setImmediate(turn)
      }
      let next = setImmediate(turn)
      yield* Effect.addFinalizer(() => Effect.sync(() => clearImmediate(next)))
      yield* Program.run(
        connection,
        (function*(): Program.Program<void> {
          while (turns < 3) yield* Program.select([["SELECT 1", [], 1]])
        })()
      )
    }))

  it.scopedLive("comes to the same where each answer is waited for", () =>
    Effect.gen(function*() {
      const { answer, ...waiting } = yield* connected
      expect(answer).toBeDefined()
      const program = function*(): Program.Program<unknown> {
        yield* Program.execute([["CREATE TABLE t (a, b)", [], 0], ["INSERT INTO t VALUES (?, ?)", [1, "x"], 1]])
        const rows = yield* Program.select([["SELECT * FROM t", [], 1], ["SELECT * FROM t", [], 1]])
        const none = yield* Program.select([])
        return { rows, none }
      }
      const run = (connection: Program.AnsweringConnection) =>
        Effect.zipLeft(Program.run(connection, program()), connection.execute("DROP TABLE t", [], undefined))
      const expected = { rows: [[1, "x"], [1, "x"]], none: [] }
      expect(yield* run(waiting)).toEqual(expected)
      expect(yield* run({ ...waiting, ...(answer && { answer }) })).toEqual(expected)
    }))
})
