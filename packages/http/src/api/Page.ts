/** Pages of lists. */
import { Schema } from "effect"

/**
 * A page. Its cursor, which the last page lacks, is that of the next one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  readonly cursor?: string
}

/**
 * @since 0.1.0
 * @category models
 */
export const schema = <A, I>(item: Schema.Schema<A, I>): Schema.Schema<Page<A>, Page<I>> =>
  Schema.Struct({
    items: Schema.Array(item),
    cursor: Schema.optionalWith(
      Schema.String.annotations({ description: "the cursor of the next page; absent on the last one" }),
      { exact: true }
    )
  })

/**
 * A page of rows, of which one more than the limit was read: it tells whether there is another page.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = <Row, Item>(
  rows: ReadonlyArray<Row>,
  limit: number,
  item: (row: Row) => Item,
  key: (row: Row) => string
): Page<Item> => {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items: items.map(item), ...(rows.length > limit && last !== undefined ? { cursor: key(last) } : {}) }
}
