import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { join } from "node:path"
import * as SqliteConnection from "../../src/sqlite/SqliteConnection.js"
import * as Program from "../../src/statement/StatementScript.js"
import type { Statement } from "../../src/statement/Table.js"
import { temporaryDirectory } from "../fixtures/sqlite.js"

const connected = Effect.flatMap(temporaryDirectory, (directory) => SqliteConnection.make(join(directory, "a.db")))

describe("the writing connection", () => {
  it.scopedLive("returns integers as each caller wants them, from one prepared statement", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      const one = connection.execute("SELECT 1 AS one", [], undefined)
      expect(yield* one).toEqual([{ one: 1 }])
      expect(yield* Effect.provideService(one, SafeIntegers, true)).toEqual([{ one: 1n }])
      expect(yield* one).toEqual([{ one: 1 }])
      expect(yield* connection.executeValues("SELECT 1 AS one", [])).toEqual([[1]])
      expect(yield* connection.executeRaw("SELECT 1 AS one", [])).toEqual([{ one: 1 }])
    }))

  it.scopedLive("executes more statements than its cache holds", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      for (let round = 0; round < 2; round++) {
        for (let n = 0; n < 300; n++) expect(yield* connection.executeValues(`SELECT ${n}`, [])).toEqual([[n]])
      }
    }))

  it.scopedLive("fails with the driver's error, from preparing or executing", () =>
    Effect.gen(function*() {
      const connection = yield* connected
      for (const [text, params] of [["not SQL", []], ["SELECT ?", [{}, 1]]] as const) {
        expect(yield* Effect.flip(connection.execute(text, params, undefined))).toMatchObject({ _tag: "SqlError" })
        const answer = connection.answer?.({ statements: [[text, params, 0]], answer: "rows" })
        expect(answer && Either.isLeft(answer)).toBe(true)
      }
    }))
})

describe("a statement script", () => {
  it.scopedLive("yields to the event loop", () =>
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
        (function*(): Program.StatementScript<void> {
          while (turns < 3) yield* Program.select([["SELECT 1", [], 1]])
        })()
      )
    }))

  it.scopedLive("has the same results whether each answer is awaited or statements are sent together", () =>
    Effect.gen(function*() {
      const { answer, ...waiting } = yield* connected
      expect(answer).toBeDefined()
      const program = function*(): Program.StatementScript<unknown> {
        yield* Program.execute([["CREATE TABLE t (a, b)", [], 0], ["INSERT INTO t VALUES (?, ?)", [1, "x"], 1]])
        const rows = yield* Program.select([["SELECT * FROM t", [], 1], ["SELECT * FROM t", [], 1]])
        const none = yield* Program.select([])
        yield* Program.execute([["INSERT INTO t VALUES (?, ?)", [2, "y"], 1]])
        const lists = yield* Program.selectAll([], [["SELECT a FROM t", [], 1], ["SELECT b FROM t", [], 1]], [])
        yield* Program.execute([["DROP TABLE t", [], 0]])
        return { rows, none, lists }
      }
      const expected = { rows: [[1, "x"], [1, "x"]], none: [], lists: [[], [[1], [2], ["x"], ["y"]], []] }
      expect(yield* Program.run(waiting, program())).toEqual(expected)
      expect(yield* Program.run({ ...waiting, ...(answer && { answer }) }, program())).toEqual(expected)
      const sent: Array<number> = []
      const together = { ...waiting, send: sending(waiting, sent) }
      expect(yield* Program.run(together, program())).toEqual(expected)
      expect(sent).toEqual([4, 3, 1])
    }))

  it.scopedLive("gets the error of a failed statement when it waits for the next, and fails if there is no next", () =>
    Effect.gen(function*() {
      const { answer, ...waiting } = yield* connected
      expect(answer).toBeDefined()
      const together = { ...waiting, send: sending(waiting, []) }
      const fails = Program.execute([["INSERT INTO nowhere VALUES (1)", [], 1]])
      const caught = function*(): Program.StatementScript<string> {
        yield* fails
        try {
          yield* Program.select([["SELECT 1", [], 1]])
        } catch (error) {
          return String(error)
        }
        return "nothing"
      }
      expect(yield* Program.run(together, caught())).toContain("SqlError")
      const last = Program.execute([["INSERT INTO nowhere VALUES (1)", [], 1]])
      expect(yield* Effect.flip(Program.run(together, last))).toMatchObject({ _tag: "SqlError" })
    }))
})

/** Records how many statements are sent together. */
const sending = (connection: Connection, sent: Array<number>) => (statements: ReadonlyArray<Statement>) => {
  sent.push(statements.length)
  return Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params))
}
