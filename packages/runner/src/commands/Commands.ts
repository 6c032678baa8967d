/** All subcommands of `caravel`. */
import * as Activities from "./Activities.js"
import * as Consumers from "./Consumers.js"
import * as Copies from "./Copies.js"
import * as Demo from "./Demo.js"
import * as Doctor from "./Doctor.js"
import * as Import from "./Import.js"
import * as Init from "./Init.js"
import * as Migrate from "./Migrate.js"
import * as Past from "./Past.js"
import * as Read from "./Read.js"
import * as Run from "./Run.js"
import * as Secrets from "./Secrets.js"
import * as Serve from "./Serve.js"
import type { Subcommand } from "./Subcommand.js"
import * as Submit from "./Submit.js"
import * as Token from "./Token.js"
import * as Verify from "./Verify.js"

/** The subcommands of all families, in the order of the overview. */
export const subcommands: ReadonlyArray<Subcommand> = [
  Init,
  Migrate,
  Serve,
  Token,
  Run,
  Activities,
  Read,
  Past,
  Verify,
  Doctor,
  Copies,
  Import,
  Consumers,
  Secrets,
  Demo,
  Submit
].flatMap((family) => family.subcommands)
