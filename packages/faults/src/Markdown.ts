/** The report of a run, for people. */
import { DateTime } from "effect"
import type { Part, Report } from "./Report.js"

/** The report as Markdown. */
export const render = ({ command, date, machine, parts, seed }: Report): string =>
  [
    "# Faults",
    "",
    `${DateTime.formatIso(date)}, \`${command}\`, seed ${seed}, commit ${machine.commit}  `,
    `${machine.cpu}, ${machine.cores} cores, ${machine.os}, files on ${machine.disk}, Node.js ${machine.node}`,
    "",
    "| kind | tried | seconds | found |",
    "| --- | --- | ---: | ---: |",
    ...parts.map(row),
    ...parts.flatMap(({ findings, kind }) =>
      findings.flatMap(({ details, title }) => ["", `## ${kind}: ${title}`, "", "```", details, "```"])
    ),
    ""
  ].join("\n")

const row = ({ findings, kind, seconds, skipped, tried }: Part) =>
  skipped === undefined
    ? `| ${kind} | ${counts(tried)} | ${seconds.toFixed(1)} | ${findings.length} |`
    : `| ${kind} | skipped: ${skipped} | | |`

const counts = (tried: Part["tried"]) =>
  Object.entries(tried).map(([what, count]) => `${count.toLocaleString("en")} ${what}`).join(", ")
