import { Background, Tail } from "@caravel/pubsub"
import { Clock, Effect } from "effect"

/** Runs a part of a watch on others' commits in the background until the tail ends: in real time, even under a `TestClock`. */
export const run = <E>(name: string, effect: Effect.Effect<unknown, E>) =>
  Effect.flatMap(
    Tail.Tail,
    ({ ended }) => Background.run(name, Effect.withClock(Effect.raceFirst(effect, Effect.ignore(ended)), Clock.make()))
  )
