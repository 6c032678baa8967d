import { SafeIntegers } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Either } from "effect"
import { join } from "node:path"
import * as SqliteConnection from "../../src/sqlite/SqliteConnection.js"
import * as Script from "../../src/statement/StatementScript.js"
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
        const answer = connection.answer?.({ statements: [[text, params]], answer: "rows" })
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
      yield* Script.run(
        connection,
        (function*(): Script.StatementScript<void> {
          while (turns < 3) yield* Script.select([["SELECT 1", []]])
        })()
      )
    }))

  it.scopedLive("has the same results whether each answer is awaited or statements are sent together", () =>
    Effect.gen(function*() {
      const { answer, ...waiting } = yield* connected
      expect(answer).toBeDefined()
      const script = function*(): Script.StatementScript<unknown> {
        yield* Script.execute([["CREATE TABLE t (a, b)", []], ["INSERT INTO t VALUES (?, ?)", [1, "x"]]])
        const rows = yield* Script.select([["SELECT * FROM t", []], ["SELECT * FROM t", []]])
        const none = yield* Script.select([])
        yield* Script.execute([["INSERT INTO t VALUES (?, ?)", [2, "y"]]])
        const lists = yield* Script.selectAll([], [["SELECT a FROM t", []], ["SELECT b FROM t", []]], [])
        yield* Script.execute([["DROP TABLE t", []]])
        return { rows, none, lists }
      }
      const expected = { rows: [[1, "x"], [1, "x"]], none: [], lists: [[], [[1], [2], ["x"], ["y"]], []] }
      expect(yield* Script.run(waiting, script())).toEqual(expected)
      expect(yield* Script.run({ ...waiting, ...(answer && { answer }) }, script())).toEqual(expected)
      const sent: Array<number> = []
      const together = { ...waiting, send: sending(waiting, sent) }
      expect(yield* Script.run(together, script())).toEqual(expected)
      expect(sent).toEqual([4, 3, 1])
    }))

  it.scopedLive("gets the error of a failed statement when it waits for the next, and fails if there is no next", () =>
    Effect.gen(function*() {
      const { answer, ...waiting } = yield* connected
      expect(answer).toBeDefined()
      const together = { ...waiting, send: sending(waiting, []) }
      const fails = Script.execute([["INSERT INTO nowhere VALUES (1)", []]])
      const caught = function*(): Script.StatementScript<string> {
        yield* fails
        try {
          yield* Script.select([["SELECT 1", []]])
        } catch (error) {
          return String(error)
        }
        return "nothing"
      }
      expect(yield* Script.run(together, caught())).toContain("SqlError")
      const last = Script.execute([["INSERT INTO nowhere VALUES (1)", []]])
      expect(yield* Effect.flip(Script.run(together, last))).toMatchObject({ _tag: "SqlError" })
    }))
})

/** Records how many statements are sent together. */
const sending = (connection: Connection, sent: Array<number>) => (statements: ReadonlyArray<Statement>) => {
  sent.push(statements.length)
  return Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params))
}
