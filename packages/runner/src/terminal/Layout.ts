/** Fits any text into the lines and tables of a terminal. */
import { withoutSecrets } from "@caravel/domain/adapter"
import type { Style } from "./Output.js"

/**
 * The beginning of a text that may be as long as a whole input, without secrets.
 *
 * @since 0.1.0
 * @category text
 */
export const shortened = (text: string, length = 500): string => {
  // Redacted first, as a part of a secret does not look like one.
  const shown = withoutSecrets(text)
  return shown.length > length ? `${shown.slice(0, length)}…` : shown
}

/**
 * A text as one line, without control characters, which could move the cursor or repaint the terminal, and without those
 * that would reorder the rest of the line.
 *
 * @since 0.1.0
 * @category text
 */
export const oneLine = (text: string): string =>
  text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, " ").trim()

/**
 * Wraps a text into lines of at most `width` characters. Longer words are broken.
 *
 * @since 0.1.0
 * @category text
 */
export const wrapped = (text: string, width: number): ReadonlyArray<string> => {
  const room = Math.max(width, 8)
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > room) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
    for (; line.length > room; line = line.slice(room)) lines.push(line.slice(0, room))
  }
  return [...lines, line]
}

/** The minimum width of a column, in characters; in less, text is moved to lines of its own. */
const narrowest = 24

/**
 * A text to the right of another that is `leftWidth` wide, or indented below it if it does not fit.
 *
 * @since 0.1.0
 * @category text
 */
export const beside = (left: string, leftWidth: number, text: string, columns: number): ReadonlyArray<string> => {
  if (columns - leftWidth < Math.min(narrowest, text.length)) {
    return [left.trimEnd(), ...wrapped(text, columns - 4).map((line) => `    ${line}`)]
  }
  const indent = " ".repeat(leftWidth)
  return wrapped(text, columns - leftWidth).map((line, n) => (n === 0 ? left : indent) + line)
}

/**
 * The text of a table's cell, and its colour.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cell {
  readonly text: string
  readonly paint?: (text: string) => string
}

/** The cells one after another, wrapped into as many lines as needed. */
const flowing = (row: ReadonlyArray<Cell>, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let [line, length] = ["", 0]
  for (const { paint = (text: string) => text, text } of row) {
    for (const [n, part] of wrapped(text, columns - 2).entries()) {
      if (length > 0 && (n > 0 || length + 2 + part.length > columns)) {
        lines.push(line)
        ;[line, length] = ["  ", 2]
      } else if (length > 0) [line, length] = [`${line}  `, length + 2]
      ;[line, length] = [line + paint(part), length + part.length]
    }
  }
  return [...lines, line]
}

const textOf = (cell: string | Cell | undefined) => typeof cell === "string" ? cell : cell?.text ?? ""

/** Whether any row has something in a column. */
const isUsed = (rows: ReadonlyArray<ReadonlyArray<string | Cell>>, column: number) =>
  rows.some((row) => !["", "-"].includes(textOf(row[column])))

/**
 * A table with aligned columns and titles, without those columns that no row has anything in. A last column that does
 * not fit is wrapped; in a narrow terminal, whole rows are.
 *
 * @since 0.1.0
 * @category tables
 */
export const table = (
  allTitles: ReadonlyArray<string>,
  allRows: ReadonlyArray<ReadonlyArray<string | Cell>>,
  { columns, style }: { readonly columns: number; readonly style: Style }
): ReadonlyArray<string> => {
  const isShown = allTitles.map((_, column) => isUsed(allRows, column))
  const titles = allTitles.filter((_, column) => isShown[column])
  const rows = allRows.map((row) => row.filter((_, column) => isShown[column]))
  const shown = (text: string) => shortened(oneLine(text))
  const cells = [
    titles.map((text): Cell => ({ text, paint: style.dim })),
    ...rows.map((row) =>
      row.map((cell): Cell => typeof cell === "string" ? { text: shown(cell) } : { ...cell, text: shown(cell.text) })
    )
  ]
  // There may be more rows than a function may have arguments.
  const widths = titles.map((_, i) => cells.reduce((width, row) => Math.max(width, row[i]?.text.length ?? 0), 0))
  const last = widths.pop() ?? 0
  const start = widths.reduce((sum, width) => sum + width + 2, 0)
  if (columns - start < Math.min(last, narrowest)) return cells.flatMap((row) => flowing(row, columns))
  return cells.flatMap((row) => {
    const painted = (n: number, text: string) => row[n]?.paint?.(text) ?? text
    const left = widths.map((width, n) => {
      const text = row[n]?.text ?? ""
      return painted(n, text) + " ".repeat(width + 2 - text.length)
    })
    return wrapped(row[widths.length]?.text ?? "", columns - start).map((text, n) =>
      ((n === 0 ? left.join("") : " ".repeat(start)) + painted(widths.length, text)).trimEnd()
    )
  })
}
