/** The program's version, from its package.json. */
import { Schema } from "effect"
import { readFileSync } from "node:fs"

const decode = Schema.decodeSync(Schema.parseJson(Schema.Struct({ version: Schema.String })))

// The path is the same from `src/cli`, from `dist/cli`, and from a bundle in `build`.
export const { version } = decode(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))
