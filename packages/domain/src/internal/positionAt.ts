import { type DateTime, Effect } from "effect"
import { Position } from "../Activity.js"
import type { StorageError } from "../CommandError.js"
import type { Journal } from "../Journal.js"

/**
 * The last position before the journal's clocks passed an instant, by as many reads as its length has binary digits.
 *
 * Where a clock went back, they pass an instant several times. Which of these it finds must not depend on what is
 * appended later: so it does not halve the journal, it looks at multiples of powers of two, which stay where they are.
 * An earlier instant turns at the first place where it differs to the earlier side, and so never finds a later position.
 */
export const positionAt = (
  journal: typeof Journal.Service,
  instant: DateTime.Utc
): Effect.Effect<Position, StorageError> =>
  Effect.gen(function*() {
    const head = yield* journal.head
    let found = 0
    for (let step = 2 ** Math.floor(Math.log2(head)); step >= 1; step /= 2) {
      const next = found + step
      if (next > head) continue
      const [event] = yield* journal.read(Position.make(next - 1), 1)
      if (event !== undefined && event.createdAt.epochMillis <= instant.epochMillis) found = next
    }
    return Position.make(found)
  })
