import { Journal, Position } from "@caravel/domain"
import { Array, Effect, Layer, Order, Schema } from "effect"
import { Database } from "./Database.js"

const decodeHead = Schema.decodeUnknown(Schema.Tuple(Schema.Tuple(Position)))

/**
 * The journal in the table `event`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Journal, never, Database> = Layer.effect(
  Journal,
  Effect.map(Database, ({ read, rows: { event } }) => {
    const page = `SELECT ${event.columns()} FROM event WHERE position > ? ORDER BY position LIMIT ?`
    const head = "SELECT coalesce(max(position), 0) FROM event"
    return {
      at: (positions) =>
        Effect.map(
          Effect.forEach(event.at([...new Set(positions)]), ([text, params]) =>
            read("Journal.at", text, params, event.decode)),
          (pages) =>
            Array.sortWith(pages.flat(), ({ position }) => position, Order.number)
        ),
      read: (position, limit) => read("Journal.read", page, [position, limit], event.decode),
      head: Effect.map(read("Journal.head", head, [], decodeHead), ([[position]]) => position)
    }
  })
)
