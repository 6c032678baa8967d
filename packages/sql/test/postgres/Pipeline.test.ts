import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as PostgresPool from "../../src/postgres/PostgresPool.js"
import type { Statement } from "../../src/statement/Table.js"
import { withPostgres } from "../fixtures/postgres.js"

const one = (text: string, ...params: ReadonlyArray<unknown>): Statement => [text, params]
const many = (text: string, ...params: ReadonlyArray<unknown>): Statement => [text, params, true]

withPostgres("PostgreSQL: a pipeline", (url) => {
  const connection = Effect.flatMap(
    PostgresPool.make({ connectionString: url, max: 1 }, { watched: "all", prepares: true }),
    ({ scoped }) => scoped()
  )

  const preparedBy = one("SELECT statement FROM pg_prepared_statements WHERE statement LIKE 'VALUES%' ORDER BY 1")

  it.scopedLive("returns the rows of each statement, prepared or not, the first time and later", () =>
    Effect.gen(function*() {
      const { send } = yield* connection
      const values = "VALUES ($1::int8, $2::text, $3::bool), (NULL, '', false)"
      for (let n = 0; n < 3; n++) {
        expect(
          yield* send([
            one(values, n, "a", true),
            one("DO 'BEGIN END'"),
            many(values, n, null, null),
            one("SELECT 1 WHERE false"),
            one(values, 2 ** 40, "é\n", false)
          ])
        ).toEqual([
          [[n, "a", true], [null, "", false]],
          [],
          [[n, null, null], [null, "", false]],
          [],
          [[2 ** 40, "é\n", false], [null, "", false]]
        ])
      }
      expect(yield* send([])).toEqual([])
      expect(yield* send([preparedBy])).toEqual([[[values]]])
    }))

  it.scopedLive("fails with the first error, executes nothing after it, and can be sent again", () =>
    Effect.gen(function*() {
      const { send } = yield* connection
      yield* send([one("CREATE TEMPORARY TABLE t (n int8 PRIMARY KEY)")])
      const insert = one("INSERT INTO t VALUES ($1)", 1)
      const count = one("SELECT count(*) FROM t")
      for (const commit of [[], [one("COMMIT")]]) {
        const failed = yield* Effect.flip(
          send([one("BEGIN"), insert, count, insert, one("VALUES (1/0)"), one("VALUES (2)"), ...commit])
        )
        expect(failed.cause).toMatchObject({ code: "23505" })
        expect((yield* Effect.flip(send([count]))).cause).toMatchObject({ code: "25P02" })
        expect((yield* Effect.flip(send([one("COMMIT")]))).message).toBe("The transaction was rolled back")
        expect(yield* send([count, one("VALUES (2)")])).toEqual([[[0]], [[2]]])
      }
      // The server has prepared a statement that fails when it is executed.
      const divided = (by: number) => send([one("SELECT 1 / $1::int", by)])
      for (let n = 0; n < 2; n++) expect((yield* Effect.flip(divided(0))).cause).toMatchObject({ code: "22012" })
      expect(yield* divided(1)).toEqual([[[1]]])
      const failed = yield* Effect.flip(send([one("SELEC")]))
      expect(failed.cause).toMatchObject({ code: "42601" })
      expect(yield* send([one("BEGIN"), insert, one("COMMIT"), count])).toEqual([[], [], [], [[1]]])
    }))
})
