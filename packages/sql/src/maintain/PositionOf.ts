import { Position } from "@caravel/domain"
import { Schema } from "effect"

const isPosition = Schema.is(Position)

/** A stored number as a position; 0 if damage has made it something else. */
export const positionOf = (stored: unknown): Position => isPosition(stored) ? stored : Position.make(0)
