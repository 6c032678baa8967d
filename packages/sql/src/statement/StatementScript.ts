/**
 * Statements that depend on one another's results, as data. The interpreter decides when to wait. See
 * docs/statement-scripts.md.
 */
import { nextTurn, type Steps } from "@caravel/domain/adapter"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { Effect, Either } from "effect"
import { maxTurnMillis } from "./EventLoop.js"
import type { Statement } from "./Table.js"

/**
 * Statements that run in order. A script that asks for their rows waits for them. If it asks for none, it may learn
 * that a statement has failed only at the next step that waits.
 */
export interface Step {
  readonly statements: ReadonlyArray<Statement>
  readonly answer: "rows" | "none"
}

/** A generator that yields steps and receives the rows of each of their statements. */
export type StatementScript<A> = Generator<Step, A, ReadonlyArray<ResultRows>>

/** The rows of a statement, as values. */
export type ResultRows = ReadonlyArray<ReadonlyArray<unknown>>

/** A connection that may answer synchronously, without a fiber, or send several statements in one round trip. */
export interface AnsweringConnection extends Connection {
  readonly answer?: (step: Step) => Either.Either<ReadonlyArray<ResultRows>, SqlError>
  /**
   * Fails with the error of the first statement that fails. In a transaction, the statements after it have no effect.
   */
  readonly send?: (statements: ReadonlyArray<Statement>) => Effect.Effect<ReadonlyArray<ResultRows>, SqlError>
}

/** Returns the rows that the statements select. */
export function* select(statements: ReadonlyArray<Statement>): StatementScript<ResultRows> {
  const rows = statements.length === 0 ? [] : yield { statements, answer: "rows" }
  return rowsOf(rows)
}

/** Returns the rows that several lists of statements select, list by list. */
export function* selectAll<Lists extends ReadonlyArray<ReadonlyArray<Statement>>>(
  ...lists: Lists
): StatementScript<{ readonly [index in keyof Lists]: ResultRows }> {
  const rows = yield { statements: emptyList.concat(...lists), answer: "rows" }
  let start = 0
  return lists.map(({ length }) => rowsOf(rows.slice(start, start += length))) as {
    readonly [index in keyof Lists]: ResultRows
  }
}

const emptyList: ReadonlyArray<Statement> = []

/** The rows of several statements. `flat` takes 0.4 µs, and most lists have one statement or none. */
const rowsOf = (answers: ReadonlyArray<ResultRows>): ResultRows => answers.length === 1 ? answers[0]! : answers.flat()

/** Lets the event loop take its turn if the script has run for long. */
const pause: Step = { statements: [], answer: "none" }

/** Does long work between two statements, with pauses for the event loop. */
export function* inTurns<A>(work: Steps<A>): StatementScript<A> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    yield pause
  }
}

/** Runs statements that write. */
export function* execute(statements: ReadonlyArray<Statement>): StatementScript<void> {
  if (statements.length > 0) yield { statements, answer: "none" }
}

/**
 * Runs a script. The error of a statement is thrown into it. If the connection answers synchronously, the script runs
 * in one step of the fiber, except for pauses. Otherwise steps that ask for no rows are sent together with the next
 * step that does.
 */
export const run = <A>(connection: AnsweringConnection, script: StatementScript<A>): Effect.Effect<A, SqlError> =>
  resume(
    connection,
    script,
    nothing,
    [],
    (result, unsent) => unsent.length === 0 ? Effect.succeed(result) : Effect.as(send(connection, unsent), result)
  )

/** Runs a script, and also returns the statements after the last step that waits, which it does not send. */
export const runUntilLastWait = <A>(
  connection: AnsweringConnection,
  script: StatementScript<A>
): Effect.Effect<{ readonly result: A; readonly unsent: ReadonlyArray<Statement> }, SqlError> =>
  resume(connection, script, nothing, [], (result, unsent) => Effect.succeed({ result, unsent }))

const nothing = Either.right([])

const resume = <A, B>(
  connection: AnsweringConnection,
  script: StatementScript<A>,
  previous: Either.Either<ReadonlyArray<ResultRows>, SqlError>,
  unsent: Array<Statement>,
  end: (result: A, unsent: ReadonlyArray<Statement>) => Effect.Effect<B, SqlError>
): Effect.Effect<B, SqlError> =>
  Effect.suspend((): Effect.Effect<B, SqlError> => {
    const started = performance.now()
    try {
      for (let last = previous;;) {
        const next = Either.isRight(last) ? script.next(last.right) : script.throw(last.left)
        if (next.done === true) return end(next.value, unsent)
        if (connection.answer !== undefined && next.value.statements.length > manyStatements) {
          return Effect.flatMap(
            Effect.either(answerInTurns(connection.answer, next.value)),
            (answered) => resume(connection, script, answered, unsent, end)
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
            (answered) => resume(connection, script, Either.map(answered, (rows) => rows.slice(before)), [], end)
          )
        }
        if (performance.now() - started > maxTurnMillis) {
          const answered = last
          return Effect.zipRight(nextTurn, Effect.suspend(() => resume(connection, script, answered, unsent, end)))
        }
      }
    } catch (error) {
      if (error instanceof SqlError) return Effect.fail(error)
      throw error
    }
  })

/**
 * The number of synchronous statements after which the event loop may take its turn: they take a millisecond or two.
 */
const manyStatements = 64

const answerInTurns = (
  answer: NonNullable<AnsweringConnection["answer"]>,
  { answer: asked, statements }: Step
): Effect.Effect<ReadonlyArray<ResultRows>, SqlError> =>
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
