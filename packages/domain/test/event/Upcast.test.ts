import { upcast, type Upcasters, versionOf } from "@caravel/domain/adapter"
import { describe, expect, it } from "@effect/vitest"
import { Either } from "effect"

/** As if a deactivation had first held a state, then a status without a reason, and now both. */
const madeUp: Upcasters = {
  RelayDeactivated: [
    ({ state }) => ({ status: String(state).toLowerCase() }),
    (changes) => ({ ...changes, reason: "unknown" })
  ]
}

const deactivated = (version: number) => ({ tag: "RelayDeactivated", version, position: 7 }) as const

describe("upcasting", () => {
  it("converts changes of any older version to the current one, step by step", () => {
    const read = (version: number, changes: unknown) => upcast(deactivated(version), changes, madeUp)
    expect(read(1, { state: "INACTIVE" })).toEqual(Either.right({ status: "inactive", reason: "unknown" }))
    expect(read(2, { status: "inactive" })).toEqual(Either.right({ status: "inactive", reason: "unknown" }))
    expect(read(3, { status: "inactive", reason: "bill" })).toEqual(
      Either.right({ status: "inactive", reason: "bill" })
    )
    expect(versionOf("RelayDeactivated", madeUp)).toBe(3)
    expect(versionOf("RelayActivated", madeUp)).toBe(1)
  })

  it("leaves events of which there was only one version", () => {
    const activated = { tag: "RelayActivated", version: 1, position: 7 } as const
    expect(upcast(activated, { status: "active" }, madeUp)).toEqual(Either.right({ status: "active" }))
  })

  it("leaves malformed changes to the schema", () => {
    expect(upcast(deactivated(1), null, madeUp)).toEqual(Either.right(null))
  })

  it("refuses an event of a newer program", () => {
    expect(upcast(deactivated(4), {}, madeUp)).toMatchObject(Either.left({
      _tag: "NewerEvent",
      message: "the RelayDeactivated at position 7 has version 4, but this Caravel knows only 3"
    }))
    expect(Either.isLeft(upcast(deactivated(versionOf("RelayDeactivated") + 1), {}))).toBe(true)
  })
})
