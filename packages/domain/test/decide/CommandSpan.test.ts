import { Position } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Exit, FiberId } from "effect"
import { attributesOf } from "../../src/decide/CommandSpan.js"

describe("a command's span", () => {
  it("tells refusals, interruptions and defects apart", () => {
    const ended = (cause: Cause.Cause<{ readonly _tag: string }>) => attributesOf(undefined, Exit.failCause(cause))
    const interrupted = Cause.interrupt(FiberId.none)
    expect(ended(Cause.fail({ _tag: "TenantNotFound" }))).toEqual({
      "caravel.outcome": "TenantNotFound",
      "error.type": "TenantNotFound"
    })
    expect(ended(interrupted)).toEqual({ "caravel.outcome": "interrupted", "error.type": "interrupted" })
    expect(ended(Cause.die("bug"))).toEqual({ "caravel.outcome": "defect", "error.type": "defect" })
    expect(ended(Cause.parallel(interrupted, Cause.die("bug")))).toMatchObject({ "caravel.outcome": "defect" })
  })

  it("names the position of a list's last command, and no resource", () => {
    const events = [{ position: Position.make(1), version: 1 }, { position: Position.make(2), version: 1 }]
    expect(attributesOf(undefined, Exit.succeed(events))).toEqual({
      "caravel.outcome": "accepted",
      "caravel.position": 2
    })
  })
})
