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

/** What a span says of the event of a command. A host's answer does not name the version. */
export interface Executed extends Partial<Pick<RecordedEvent, "position" | "version">> {}

/** How a command or a list ended. */
export type CommandExit = Exit.Exit<ReadonlyArray<Executed | undefined>, { readonly _tag: string }>

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
    ...(last?.position !== undefined && { "caravel.position": last.position }),
    ...(last?.version !== undefined && resource !== undefined && { "caravel.resource.version": last.version })
  }
}
