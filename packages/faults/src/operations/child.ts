/** A process that runs an operation: `child.ts OPERATION DIRECTORY`. */
import { Effect } from "effect"
import * as fs from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { operations } from "./index.js"
import { acknowledgements } from "./Operation.js"

const [name, directory] = process.argv.slice(2) as [string, string]

const file = fs.openSync(join(directory, acknowledgements), "a")
const acknowledge = (line: string) => Effect.sync(() => void fs.writeSync(file, `${line}\n`))

await Effect.runPromise(operations[name]!.run(directory, acknowledge))
