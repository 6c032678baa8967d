import { decide, evolve, type State } from "@caravel/domain"
import { describe, expect, it } from "@effect/vitest"
import { Either, FastCheck as fc, HashMap, Option } from "effect"
import { alice, command, context, createAlice, createOne, empty, given } from "../given.js"
import { anyCommand } from "../programs.js"

/** The version of the command's resource; 0 if it does not exist. */
const versionOf = (state: State, { id, pubkey }: { readonly id?: any; readonly pubkey?: any }) =>
  Option.getOrUndefined(HashMap.get(state.tenants, pubkey))?.version ??
    Option.getOrUndefined(HashMap.get(state.relays, id))?.version ?? 0

describe("decide at an expected version", () => {
  it("decides as it does without one if the version matches or existence is wrong, and otherwise refuses", () => {
    let accepted = 0
    let late = 0
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 30, size: "max" }), fc.nat(4), (commands, expected) => {
        commands.reduce((state, command, n) => {
          const free = decide(state, command, context(n))
          const bound = decide(state, command, { ...context(n), expected })
          const actual = versionOf(state, command)
          const creates = command._tag.startsWith("Create")
          if (expected === actual || creates === actual > 0) {
            expect(bound).toEqual(free)
            if (Either.isRight(bound)) accepted++
          } else {
            expect(Either.flip(bound)).toMatchObject({ right: { _tag: "VersionConflict", expected, actual } })
            late++
          }
          return Either.match(free, { onLeft: () => state, onRight: (event) => evolve(state, event) })
        }, empty)
      })
    )
    expect(Math.min(accepted, late)).toBeGreaterThan(10)
  })

  it("checks the version before subdomains", () => {
    const state = given(createAlice, createOne, command("CreateRelay", { id: "two", tenant: alice, subdomain: "dos" }))
    const at = (expected: number) =>
      Either.flip(decide(state, command("UpdateRelay", { id: "two", subdomain: "uno" }), { ...context(9), expected }))
    expect(at(2)).toMatchObject({
      right: { _tag: "VersionConflict", message: expect.stringContaining("version 1, not") }
    })
    expect(at(1)).toMatchObject({ right: { _tag: "SubdomainTaken" } })
  })
})
