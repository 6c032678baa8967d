/** Statements that depend on one another's answers, as data: whether each is waited for is up to who runs them. */
import type { Steps } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Either } from "effect"
import { longestTurn, nextTurn } from "./EventLoop.js"
import type { Statement } from "./Table.js"

/**
 * Statements to be run in order. Who asks for their rows waits; who asks for none may be told later that one has failed, but
 * not later than when something is waited for.
 */
export interface Step {
  readonly statements: ReadonlyArray<Statement>
  readonly answer: "rows" | "none"
}

/** Yields requests, and is given the rows of each of their statements. */
export type Program<A> = Generator<Step, A, ReadonlyArray<Rows>>

/** The rows of a statement, as values. */
export type Rows = ReadonlyArray<ReadonlyArray<unknown>>

/** A connection that may answer at once, without a fiber, or take several statements in one round trip. */
export interface AnsweringConnection extends Connection {
  readonly answer?: (step: Step) => Either.Either<ReadonlyArray<Rows>, SqlError>
  /** Fails with the error of the first statement that failed. In a transaction nothing is done after that. */
  readonly send?: (statements: ReadonlyArray<Statement>) => Effect.Effect<ReadonlyArray<Rows>, SqlError>
}

/** The rows that statements select. */
export function* select(statements: ReadonlyArray<Statement>): Program<Rows> {
  const rows = statements.length === 0 ? [] : yield { statements, answer: "rows" }
  return rows.length === 1 ? rows[0]! : rows.flat()
}

/** The rows that several lists of statements select, each list's for itself. */
export function* selectAll<Lists extends ReadonlyArray<ReadonlyArray<Statement>>>(
  ...lists: Lists
): Program<{ readonly [index in keyof Lists]: Rows }> {
  const rows = yield { statements: lists.flat(), answer: "rows" }
  let start = 0
  return lists.map(({ length }) => rows.slice(start, start += length).flat()) as {
    readonly [index in keyof Lists]: Rows
  }
}

/** Has the event loop have its turn if this has taken long. */
const pause: Step = { statements: [], answer: "none" }

/** Long work between two statements. */
export function* inTurns<A>(work: Steps<A>): Program<A> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    yield pause
  }
}

/** Runs statements that write. */
export function* execute(statements: ReadonlyArray<Statement>): Program<void> {
  if (statements.length > 0) yield { statements, answer: "none" }
}

/**
 * Runs a program, into which the error of a statement is thrown. Where the connection answers at once, in one step of the
 * fiber but for the event loop's turns. Otherwise what nobody waits for is sent with what is waited for next.
 */
export const run = <A>(connection: AnsweringConnection, program: Program<A>): Effect.Effect<A, SqlError> =>
  goOn(connection, program, nothing, [])

const nothing = Either.right([])

const goOn = <A>(
  connection: AnsweringConnection,
  program: Program<A>,
  previous: Either.Either<ReadonlyArray<Rows>, SqlError>,
  unsent: Array<Statement>
): Effect.Effect<A, SqlError> =>
  Effect.suspend((): Effect.Effect<A, SqlError> => {
    const started = performance.now()
    try {
      for (let last = previous;;) {
        const next = Either.isRight(last) ? program.next(last.right) : program.throw(last.left)
        if (next.done === true) {
          return unsent.length === 0 ? Effect.succeed(next.value) : Effect.as(send(connection, unsent), next.value)
        }
        if (connection.answer !== undefined && next.value.statements.length > manyStatements) {
          return Effect.flatMap(
            Effect.either(answerInTurns(connection.answer, next.value)),
            (answered) => goOn(connection, program, answered, unsent)
          )
        } else if (connection.answer !== undefined) {
          last = connection.answer(next.value)
        } else if (next.value.answer === "none") {
          for (const statement of next.value.statements) unsent.push(statement)
          last = nothing
        } else {
          const before = unsent.length
          return Effect.flatMap(
            Effect.either(send(connection, unsent.concat(next.value.statements))),
            (answered) => goOn(connection, program, Either.map(answered, (rows) => rows.slice(before)), [])
          )
        }
        if (performance.now() - started > longestTurn) {
          const answered = last
          return Effect.zipRight(nextTurn, Effect.suspend(() => goOn(connection, program, answered, unsent)))
        }
      }
    } catch (error) {
      if (error instanceof SqlError) return Effect.fail(error)
      throw error
    }
  })

/** So many statements that are answered at once take a millisecond or two. */
const manyStatements = 64

const answerInTurns = (
  answer: NonNullable<AnsweringConnection["answer"]>,
  { answer: asked, statements }: Step
): Effect.Effect<ReadonlyArray<Rows>, SqlError> =>
  Effect.suspend(() => {
    const some = answer({ statements: statements.slice(0, manyStatements), answer: asked })
    if (Either.isLeft(some) || statements.length <= manyStatements) return some
    const rest = answerInTurns(answer, { statements: statements.slice(manyStatements), answer: asked })
    return Effect.map(Effect.zipRight(nextTurn, rest), (rows) => some.right.concat(rows))
  })

const send = (connection: AnsweringConnection, statements: ReadonlyArray<Statement>) =>
  connection.send === undefined
    ? Effect.forEach(statements, ([text, params]) => connection.executeValues(text, params))
    : connection.send(statements)
