import { Predicate } from "effect"
import Pg from "pg"
import type { ResultRows } from "../statement/StatementScript.js"
import type { Statement } from "../statement/Table.js"

/** What a connection knows of the statements that its server has prepared. */
export class PreparedStatements {
  private readonly columns = new Map<string, Columns>()

  /** The columns that a statement returns, if it is prepared. */
  of(text: string): Columns | undefined {
    return this.columns.get(text)
  }

  add(text: string, columns: Columns): void {
    this.columns.set(text, columns)
  }
}

/** Reads the values of a row, which are texts. */
type Columns = ReadonlyArray<(text: string) => unknown>

interface Answer {
  columns: Columns
  readonly rows: Array<ReadonlyArray<unknown>>
}

/**
 * Statements that are sent together and answered together. The driver would end each one with a message of its own,
 * after which the server sends what it has, and would ask each time which columns it returns: a lone command took a third
 * more CPU. If one fails, the server skips those after it.
 */
export class Pipeline extends Pg.Query {
  readonly callback: (error: Error | null) => void
  /** The rows of the statements that are answered. */
  readonly answered: Array<ResultRows> = []
  private readonly statements: ReadonlyArray<Statement>
  private readonly prepared: PreparedStatements
  private readonly parsers: Pg.CustomTypesConfig
  private readonly onAnswer: (tag: string) => void
  private answer: Answer = { columns: [], rows: [] }

  constructor(options: {
    readonly statements: ReadonlyArray<Statement>
    readonly prepared: PreparedStatements
    readonly types: Pg.CustomTypesConfig
    /** Called for each answer, with the tag of the command that was executed. */
    readonly onAnswer: (tag: string) => void
    /** Called once, when all statements are answered or one has failed. */
    readonly onEnd: (error: Error | null) => void
  }) {
    super("")
    this.statements = options.statements
    this.prepared = options.prepared
    this.parsers = options.types
    this.onAnswer = options.onAnswer
    this.callback = options.onEnd
  }

  override readonly submit = (connection: Pg.Connection): void => {
    for (const [text, params, isBulk = false] of this.statements) {
      // Statements of many rows are not prepared: the server would keep a plan made for an empty table.
      const name = isBulk ? "" : nameOf(text)
      const isPrepared = name !== "" && this.prepared.of(text) !== undefined
      if (!isPrepared) {
        // The server may have prepared it in a pipeline that failed.
        if (name !== "") connection.close({ type: "S", name }, true)
        connection.parse({ name, text, types: [] }, true)
      }
      connection.bind({ statement: name, values: params.map(toText) }, true)
      if (!isPrepared) connection.describe({ type: "P" }, true)
      connection.execute(null, true)
      // Others may take long, so that progress must be visible.
      if (isBulk) connection.flush()
    }
    connection.sync()
    this.begin()
  }

  handleRowDescription({ fields }: { readonly fields: ReadonlyArray<Pg.FieldDef> }): void {
    this.answer.columns = fields.map(({ dataTypeID }) => this.parsers.getTypeParser(dataTypeID, "text"))
  }

  handleDataRow({ fields }: { readonly fields: ReadonlyArray<string | null> }): void {
    const { columns, rows } = this.answer
    rows.push(fields.map((text, index) => text === null ? null : columns[index]!(text)))
  }

  handleCommandComplete({ text: tag }: { readonly text: string }): void {
    const [text, , isBulk = false] = this.statements[this.answered.length]!
    if (!isBulk) this.prepared.add(text, this.answer.columns)
    this.answered.push(this.answer.rows)
    this.begin()
    this.onAnswer(tag)
  }

  handleError(error: Error): void {
    this.callback(error)
  }

  handleReadyForQuery(): void {
    this.callback(null)
  }

  /** Begins the answer to the next statement. */
  private begin(): void {
    const next = this.statements[this.answered.length]
    this.answer = { columns: next === undefined ? [] : this.prepared.of(next[0]) ?? [], rows: [] }
  }
}

const toText = (value: unknown) => Predicate.isNullable(value) ? null : String(value)

const names = new Map<string, string>()

/** The name under which the server prepares a statement. There are few. */
const nameOf = (text: string): string => {
  const name = names.get(text) ?? `caravel_${names.size}`
  names.set(text, name)
  return name
}
