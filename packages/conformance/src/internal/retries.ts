/** Compares random programs of repeated calls with keys to the reference model and a plain record of answers. */
import { ActivityPubSub, Command, evolve, stateOf } from "@caravel/domain"
import { activityTypeOf } from "@caravel/domain/adapter"
import { expect } from "@effect/vitest"
import { Effect, Either, FastCheck as fc } from "effect"
import { at, day, journalAfter, observe, plain, relayDefaults } from "./fixture.js"
import { type Answered, call, entryOf, linearize } from "./linearize.js"
import { applyAll, type Call, emptyModel, type Model, rowsOf } from "./model.js"
import { beginning, calls } from "./programs.js"

interface Keyed {
  readonly key: string
  readonly call: Call
}

/** Calls that share a few keys, and the indices of those that are sent on each day. */
interface RetryProgram {
  readonly keyed: ReadonlyArray<Keyed>
  readonly days: ReadonlyArray<ReadonlyArray<number>>
}

/** A text that is equal for calls that are the same command. Absent fields, null and defaults count as equal. */
const essence = ({ call: { commands, expected }, key }: Keyed) => {
  const defaults: { readonly [name: string]: unknown } = relayDefaults
  return JSON.stringify([
    key,
    expected,
    commands.map((command) =>
      Object.entries(command).filter(([name, value]) => value !== null && value !== defaults[name]).sort()
    )
  ])
}

export const retryPrograms: fc.Arbitrary<RetryProgram> = fc.record({
  keyed: fc.uniqueArray(fc.record({ key: fc.constantFrom("1", "2", "3", "4", "5", "6"), call: calls }), {
    selector: essence,
    minLength: 1,
    maxLength: 16
  }),
  days: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), { maxLength: 24, size: "max" })
})

/** An answer, and the day on which it was first given. */
interface Remembered {
  readonly keyed: Keyed
  readonly answer: Answered["answer"]
  readonly day: number
}

/** The scopes in which a key may be stored. A new key is stored in the first. */
const scopesOf = ({ relays }: Model, { commands }: Call): ReadonlyArray<string> => {
  const first = commands[0]!
  if ("pubkey" in first) return [first.pubkey]
  if ("tenant" in first) return [first.tenant]
  const row = relays.get(first.id)
  return [...(row === undefined ? [] : [row.tenant]), `relay ${first.id}`]
}

/**
 * Whether concurrent calls have the same outcome in every order. They do not if one stores a key where another looks
 * for one.
 */
const areIndependent = (model: Model, sent: ReadonlyArray<Keyed>) => {
  const distinct = [...new Set(sent)]
  const created = new Set(
    distinct.flatMap(({ call }) => call.commands).flatMap((command) =>
      command._tag === "CreateRelay" && !model.relays.has(command.id) ? [command.id] : []
    )
  )
  return new Set(distinct.map(({ key }) => key)).size === distinct.length &&
    distinct.every(({ call: { commands: [first] } }) =>
      first === undefined || first._tag === "CreateRelay" || !("id" in first && created.has(first.id))
    )
}

export const retries = ({ days, keyed }: RetryProgram) =>
  Effect.gen(function*() {
    const queue = yield* Effect.flatMap(ActivityPubSub, ({ subscribe }) => subscribe)
    const memory = new Map<string, Remembered>()
    let model = emptyModel()
    let state = stateOf([], [])
    let position = 0

    /** Sends calls concurrently, and compares their answers with the recorded ones and with the model. */
    const send = (sent: ReadonlyArray<Keyed>, n: number) =>
      Effect.gen(function*() {
        const answers = yield* Effect.forEach(
          sent,
          (keyed) => Command.withIdempotencyKey(keyed.key)(call(keyed.call)),
          { concurrency: "unbounded" }
        ).pipe(at(day(n)))
        const entries = (yield* journalAfter(position)).map((event) => {
          position = event.position
          state = evolve(state, event)
          return entryOf(event, state)
        })

        const fresh: Array<Remembered> = []
        for (const keyed of new Set(sent)) {
          const [answer, ...others] = answers.filter((_, index) => sent[index] === keyed)
          for (const other of others) expect(other).toEqual(answer)
          const kept = scopesOf(model, keyed.call).flatMap((scope) => memory.get(`${scope} ${keyed.key}`) ?? [])
            .filter((kept) => n < kept.day + 7)
          if (kept.length === 0) fresh.push({ keyed, answer: answer!, day: n })
          else {
            const same = kept.find((kept) => kept.keyed === keyed)
            expect(answer).toEqual(same === undefined ? Either.left("IdempotencyConflict") : same.answer)
          }
        }

        const accepted = fresh.flatMap(({ answer, keyed: { call } }) =>
          Either.isRight(answer) ? [{ answer, call }] : []
        )
        const models = linearize(model, accepted, entries, day(n))
        if (models === undefined) return expect.fail(`no order explains ${JSON.stringify({ n, fresh, entries })}`)
        for (const one of fresh) {
          const { answer, keyed: { call, key } } = one
          if (Either.isLeft(answer)) {
            const outcomes = models.map((model) => applyAll(model, call, day(n)))
            expect(outcomes.map((outcome) => "refused" in outcome && outcome.refused)).toContain(answer.left)
          }
          memory.set(`${scopesOf(model, call)[0]} ${key}`, one)
        }
        model = models[models.length - 1]!
      })

    for (const [call] of beginning) yield* send([{ key: "beginning", call: call! }], 0)
    for (const [n, indices] of days.entries()) {
      const sent = indices.map((index) => keyed[index % keyed.length]!)
      if (areIndependent(model, sent)) yield* send(sent, n)
      else yield* Effect.forEach(sent, (one) => send([one, one], n))
    }

    const world = yield* observe
    expect({ tenants: world.tenants, relays: world.relays }).toEqual(rowsOf(model))
    expect(plain([...yield* queue.takeAll])).toEqual(world.activities)
    expect(world.activities.length).toBe(
      (yield* journalAfter()).filter(({ _tag }) => activityTypeOf(_tag) !== null).length
    )
  })
