/** Statements that depend on one another's answers, as data: whether each is waited for is up to who runs them. */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import { Effect, Either } from "effect"
import { longestTurn, nextTurn } from "./internal/giveWay.js"
import type { Statement } from "./Table.js"

/**
 * A statement, and whether its answer is rows of values or the driver's own result.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly statement: Statement
  readonly answer: "values" | "result"
}

/**
 * Yields requests, and is given their answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Program<A> = Generator<Request, A, unknown>

/**
 * A connection that may answer at once, without a fiber.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnsweringConnection extends Connection {
  readonly answer?: (request: Request) => Either.Either<unknown, SqlError>
}

/**
 * The rows that statements select.
 *
 * @since 0.1.0
 * @category constructors
 */
export function* select(statements: ReadonlyArray<Statement>): Program<ReadonlyArray<ReadonlyArray<unknown>>> {
  const pages: Array<ReadonlyArray<ReadonlyArray<unknown>>> = []
  for (const statement of statements) {
    pages.push((yield { statement, answer: "values" }) as ReadonlyArray<ReadonlyArray<unknown>>)
  }
  return pages.length === 1 ? pages[0]! : pages.flat()
}

/**
 * What the driver says of statements that write.
 *
 * @since 0.1.0
 * @category constructors
 */
export function* execute(statements: ReadonlyArray<Statement>): Program<ReadonlyArray<unknown>> {
  const results: Array<unknown> = []
  for (const statement of statements) results.push(yield { statement, answer: "result" })
  return results
}

/**
 * Runs a program. Where the connection answers at once, in one step of the fiber but for the event loop's turns.
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <A>(
  connection: AnsweringConnection,
  program: Program<A>,
  previous?: unknown
): Effect.Effect<A, SqlError> =>
  Effect.suspend((): Effect.Effect<A, SqlError> => {
    const started = performance.now()
    for (let last = previous;;) {
      const next = program.next(last)
      if (next.done === true) return Effect.succeed(next.value)
      const { answer, statement: [text, params] } = next.value
      if (connection.answer === undefined) {
        const answered: Effect.Effect<unknown, SqlError> = answer === "values"
          ? connection.executeValues(text, params)
          : connection.executeRaw(text, params)
        return Effect.flatMap(answered, (answered) => run(connection, program, answered))
      }
      const answered = connection.answer(next.value)
      if (Either.isLeft(answered)) return Effect.fail(answered.left)
      if (performance.now() - started > longestTurn) {
        return Effect.zipRight(nextTurn, run(connection, program, answered.right))
      }
      last = answered.right
    }
  })
