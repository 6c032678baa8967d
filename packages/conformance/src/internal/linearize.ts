/** Calls commands, and finds an order in which the reference model has the same outcomes. */
import { type Activity, Command, type RecordedEvent, type State } from "@caravel/domain"
import { activityTypeOf, commandTable } from "@caravel/domain/adapter"
import { Effect, type Either, Function, HashMap, String as Str } from "effect"
import { invoke, type Plain, plain } from "./fixture.js"
import { applyAll, type Call, type Entry, type Model, type PlainCommand } from "./model.js"

/** Calls a single command by its method, several by `submit`. Returns the activities, or the tag of the refusal. */
export const call = ({ commands, expected }: Call) =>
  Effect.gen(function*() {
    const { submit } = yield* Command
    const results: ReadonlyArray<Activity | void> = commands.length === 1
      ? [yield* callMethod(commands[0]!)]
      : yield* submit(commands)
    return plain(results.filter((result) => result !== undefined))
  }).pipe(
    expected === undefined ? Function.identity : Command.expecting(expected),
    Effect.mapError(({ _tag }): string => _tag),
    Effect.either
  )

const callMethod = ({ _tag, ...fields }: PlainCommand) => {
  const payload: { readonly [field: string]: unknown } = fields
  const { parameters: [resource, ...values] } = commandTable[_tag]
  const first = resource === "id" || resource === "pubkey" ? payload[resource] : payload
  return invoke(Str.uncapitalize(_tag), [first, ...values.map((name) => payload[name])])
}

/** An event as an entry of the model's journal, with the resource's row after it. */
export const entryOf = (event: RecordedEvent, state: State): Entry<object> => ({
  event: event._tag,
  activity: activityTypeOf(event._tag),
  resourceId: event.resourceId,
  tenant: event.tenant,
  row: withoutSecret(plain(
    event.resourceType === "tenant"
      ? HashMap.unsafeGet(state.tenants, event.resourceId)
      : HashMap.unsafeGet(state.relays, event.resourceId)
  ))
})

/** Replaces a secret by whether there is one, as the journal knows only that. */
export const withoutSecret = <Row extends object>(row: Row) =>
  "nwcUrl" in row ? { ...row, nwcUrl: row.nwcUrl !== null } : row

const same = (one: unknown, other: unknown) => {
  const ordered = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1))
      : value
  return JSON.stringify(one, ordered) === JSON.stringify(other, ordered)
}

export interface Answered {
  readonly call: Call
  readonly answer: Either.Either<ReadonlyArray<Plain<Activity>>, string>
}

/**
 * Finds an order of the accepted calls in which the model produces exactly these entries. Returns the models before and
 * after each call in that order, or `undefined` if there is none.
 */
export const linearize = (
  before: Model,
  accepted: ReadonlyArray<Answered>,
  entries: ReadonlyArray<Entry<object>>,
  now: string
): ReadonlyArray<Model> | undefined => {
  if (accepted.length === 0) return entries.length === 0 ? [before] : undefined
  for (const candidate of accepted) {
    const outcome = applyAll(before, candidate.call, now)
    if ("refused" in outcome) continue
    const count = outcome.entries.length
    const expected = outcome.entries.map((entry) => ({ ...entry, row: withoutSecret(entry.row) }))
    if (!same(expected, entries.slice(0, count))) continue
    const rest = linearize(outcome.model, accepted.filter((other) => other !== candidate), entries.slice(count), now)
    if (rest !== undefined) return [before, ...rest]
  }
  return undefined
}
