import { type Activity, Command, commandTable, decodeCommand } from "@caravel/domain"
import { Effect, String } from "effect"
import { invoke, type MethodName, plain } from "./fixture.js"
import type { PlainCommand } from "./model.js"
import type { Call } from "./programs.js"

/** Calls a single command by its method, several by `submit`. Gives the activities, or the tag of the refusal. */
export const call = (commands: Call) =>
  Effect.gen(function*() {
    const { submit } = yield* Command
    const results: ReadonlyArray<Activity | void> = commands.length === 1
      ? [yield* callMethod(commands[0]!)]
      : yield* submit(yield* Effect.forEach(commands, (command) => decodeCommand(command)))
    return plain(results.filter((result) => result !== undefined))
  }).pipe(Effect.mapError(({ _tag }): string => _tag), Effect.either)

const callMethod = ({ _tag, ...payload }: PlainCommand) => {
  const { parameters: [resource, ...values] } = commandTable[_tag as keyof typeof commandTable]
  const first = resource === "id" || resource === "pubkey" ? payload[resource] : payload
  return invoke(String.uncapitalize(_tag) as MethodName, [first, ...values.map((name) => payload[name])])
}
