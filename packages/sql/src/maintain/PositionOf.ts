import type { Position } from "@caravel/domain"
import { branded } from "@caravel/domain/adapter"

/** A stored number as a position; 0 if damage has made it something else. Each event is asked for it: no schema. */
export const positionOf = (stored: unknown): Position =>
  branded<Position>(typeof stored === "number" && Number.isSafeInteger(stored) && stored > 0 ? stored : 0)
