/** Whether the rows of a database are those of its journal. */
import { type Drift, Journal, type StorageError } from "@caravel/domain"
import { Array as Arr, Effect, Stream } from "effect"

/** All drifts that a verification finds. Each of its steps has only those found since the previous step. */
export const drifts: Effect.Effect<ReadonlyArray<Drift>, StorageError, Journal> = Effect.flatMap(
  Journal,
  ({ verify }) => Stream.runFold(verify, Arr.empty<Drift>(), (found, { differences }) => [...found, ...differences])
)
