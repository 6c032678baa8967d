/** One subcommand for each command: its options are the command's fields, and it prints the activity that is logged. */
import { Activity, Command, commands, type CommandTag, decodeCommand } from "@caravel/domain"
import { commandTable, resources } from "@caravel/domain/adapter"
import { Effect, Record as Rec } from "effect"
import { create, json } from "../cli/Arguments.js"
import { descriptionOf, fieldsOf, optionsOf, subcommandOf } from "../cli/CommandOptions.js"
import { onWritable, place } from "../cli/Place.js"
import * as SentWith from "../cli/SentWith.js"
import { Failed, Output } from "../terminal/Output.js"
import * as Render from "../terminal/Render.js"
import * as Subcommand from "./Subcommand.js"

const submit = Effect.fnUntraced(function*(tag: CommandTag, { json, payload, sentWith }: {
  readonly payload: Record<string, unknown>
  readonly sentWith: SentWith.SentWith
  readonly json: boolean
}) {
  const request = yield* decodeCommand({ ...payload, _tag: tag })
  const [result] = yield* (yield* Command).submit([request]).pipe(SentWith.sentWith(sentWith))
  const output = yield* Output
  const asText = output.isTerminal && !json
  if (result instanceof Activity) {
    if (asText) yield* output.print(Render.activityTitles(output.style))
    return yield* output.print(
      asText ? Render.activityLine(result, output.style) : JSON.stringify(Render.activityJson(result))
    )
  }
  yield* output.print(asText ? output.style.green("Done; this command logs no activity") : JSON.stringify({ ok: true }))
})

/** Refuses a change without a field to change, such as `update-relay --id a`: it would be logged and broadcast. */
const refuseNoChange = (tag: CommandTag, payload: Record<string, unknown>) => {
  const fields = fieldsOf(tag)
  const isChange = resources[commandTable[tag].resource].createdBy !== tag && !fields.every((field) => field.isRequired)
  return isChange && fields.every(({ isRequired, name }) => isRequired || !(name in payload))
    ? new Failed({ message: `Give at least one field to change; see caravel ${subcommandOf(tag)} --help` })
    : Effect.void
}

/** The subcommands of all commands. */
export const subcommands: ReadonlyArray<Subcommand.Subcommand> = Rec.keys(commands).map((tag) =>
  Subcommand.make({
    name: subcommandOf(tag),
    help: descriptionOf(tag),
    options: { payload: optionsOf(tag), sentWith: SentWith.options, create, json, place },
    execute: (options) =>
      Effect.zipRight(
        refuseNoChange(tag, options.payload),
        onWritable((options: Parameters<typeof submit>[1]) => submit(tag, options))(options)
      )
  })
)
