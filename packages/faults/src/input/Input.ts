/** Bad input: at every place where input enters, hostile values are refused with a typed error, or accepted as they are. */
import { Cause, Effect } from "effect"
import * as fs from "node:fs/promises"
import { join } from "node:path"
import type { Kind, Outcome } from "../Kind.js"
import { commandLine } from "./CommandLine.js"
import { configuration } from "./Configuration.js"
import { backups, copies, imports } from "./Files.js"
import { http } from "./Http.js"
import { jsonLines } from "./JsonLines.js"
import { services } from "./Services.js"

const entrances = [services, jsonLines, commandLine, configuration, http, imports, backups, copies]

/** Bad input. */
export const input: Kind = {
  title: "bad input",
  description:
    "Hostile values at every entrance are refused with a typed error, or accepted and read back as they were sent.",
  run: (settings) =>
    Effect.gen(function*() {
      const outcomes: Array<Outcome> = []
      for (const { counts, name, search } of entrances) {
        const count = settings.long ? counts.long : counts.short
        yield* settings.progress(`${count.toLocaleString("en")} ${name}`)
        const directory = join(settings.directory, name)
        yield* Effect.promise(() => fs.mkdir(directory))
        // What happens at one entrance says nothing of the others.
        const searched = search({ ...settings, directory }, count).pipe(
          Effect.scoped,
          Effect.sandbox,
          Effect.catchAll((cause) =>
            Effect.succeed({
              tried: {},
              findings: [{ title: `${name}: it ended early`, details: Cause.pretty(cause) }]
            })
          )
        )
        outcomes.push(yield* searched)
      }
      return {
        tried: Object.assign({}, ...outcomes.map(({ tried }) => tried)),
        findings: outcomes.flatMap(({ findings }) => findings)
      }
    })
}
