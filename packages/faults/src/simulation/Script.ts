/** Programs as text, and as scripts that fail by themselves. */
import type { Program } from "./Program.js"

/** A shell script, to be run at the top of the project once `packages/faults` is built. It fails as long as the fault is there. */
export const scriptOf = (program: Program): string =>
  ["node packages/faults/dist/simulation/child.js replay <<'END'", textOf(program), "END"].join("\n")

/** A program as JSON, one step a line. */
const textOf = ({ callers, ...settings }: Program): string => {
  const steps = callers.map((steps) =>
    `    [\n${steps.map((step) => `      ${JSON.stringify(step)}`).join(",\n")}\n    ]`
  )
  return `${JSON.stringify(settings, null, 2).slice(0, -2)},\n  "callers": [\n${steps.join(",\n")}\n  ]\n}`
}

/** The program in a text. */
export const parse = (text: string): Program => JSON.parse(text) as Program
