import { Command } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { expect, it, vi } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as CopySource from "../../src/move/copy/CopySource.js"
import { openDatabase } from "../../src/move/OpenDatabase.js"
import { alice, file, many, using } from "../fixtures/copying.js"

it.scopedLive("pages of a copy that take long let timers and sockets have their turn", () =>
  Effect.gen(function*() {
    const from = yield* file
    yield* using(
      from,
      Effect.zipRight(Effect.flatMap(Command, ({ createTenant }) => createTenant({ pubkey: alice })), many(4000, "r"))
    )
    const source = yield* CopySource.make(yield* openDatabase(from, "source"))
    // Each page seems to take a second.
    let now = 0
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now += 1000)
    yield* Effect.addFinalizer(() => Effect.sync(() => clock.mockRestore()))
    let turns = 0
    let pages = 0
    yield* Effect.fork(Effect.forever(Effect.map(nextTurn, () => turns++)))
    yield* Stream.runForEach(source.pages(CopySource.events), () => Effect.sync(() => pages++))
    expect(pages).toBeGreaterThan(4)
    expect(turns).toBeGreaterThanOrEqual(Math.floor(pages / 2))
  }))
