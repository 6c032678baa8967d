/** The attributes of the span of a command or of a submitted list. Commands may hold secrets, so it has no others. */
import { Cause, Exit, Option } from "effect"
import type { CommandRequest } from "../command/CommandRequest.js"
import type { RecordedEvent } from "../event/Event.js"
import { resourceOf } from "./Decider.js"

/** `accepted`, the tag of the error, `interrupted`, or `defect`. */
const outcomeOf = Exit.match({
  onSuccess: () => "accepted",
  onFailure: (cause: Cause.Cause<{ readonly _tag: string }>) =>
    Option.match(Cause.failureOption(cause), {
      onSome: ({ _tag }) => _tag,
      onNone: () => Cause.isInterruptedOnly(cause) ? "interrupted" : "defect"
    })
})

/** How a command or a list ended. */
export type CommandExit = Exit.Exit<ReadonlyArray<RecordedEvent>, { readonly _tag: string }>

/** The attributes of a span at its end. A list names neither resource nor version, as it may have many. */
export const attributesOf = (
  command: CommandRequest | undefined,
  exit: CommandExit
) => {
  const outcome = outcomeOf(exit)
  const resource = command === undefined ? undefined : resourceOf(command)
  const last = Exit.isSuccess(exit) ? exit.value[exit.value.length - 1] : undefined
  return {
    "caravel.outcome": outcome,
    ...(outcome !== "accepted" && { "error.type": outcome }),
    ...(resource !== undefined && {
      "caravel.resource.type": resource.resourceType,
      "caravel.resource.id": resource.resourceId
    }),
    ...(last !== undefined && { "caravel.position": last.position }),
    ...(last !== undefined && resource !== undefined && { "caravel.resource.version": last.version })
  }
}
