// Finds words that Caravel's texts do not use, in comments, messages, help, names and pages, and says what to write instead.
// Plain English as in the documentation of Effect and PostgreSQL: the reader is "you", the subject comes first, terms are the field's.
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { finish, root } from "./workspace.mjs"

/** A pattern, what to write instead, and where it is looked for: everywhere, or only in comments. */
const words = [
  [/\banew\b/i, "again"],
  [/\b(left|leave[sd]?|leaving) away\b/i, "omitted, omit"],
  [/\bwhoever\b/i, "the program, the caller, or you"],
  [/\b(comes?|came) to (nothing|what|the same|as)\b/i, "results in, equals"],
  [/\bso many at (a time|most|once)\b/i, "at most n"],
  [
    /\bwho (is|has|was|had|does|did|loses|waits?|reads?|writes?|asks?|calls?|runs?|opens?|knows?|begins?|starts?|sends?|holds?|takes?|wants?|uses?|listens?)\b/,
    "name the subject: a caller, a process, a reader, you",
    "comment"
  ],
  [/^\s*(\/\*)?\*\*? (?!@)(?!.*`[^`]*\bgives?\b[^`]*`).*\bgives\b(?! up| way| back)/, "returns", "comment"],
  [/\bnobody (reads|listens|waits|runs|knows|has)\b/i, "no process, no reader, not", "comment"],
  [/\bmend(s|ed|ing)?\b/i, "repair"],
  [/\b(goes|go|going|went) on (after|from|where|here)\b/i, "continue"],
  [/\bsigns? of life\b/i, "keepalive"],
  [/\blives? on\b/i, "continues"],
  [/\bgiveWay\b/, "yieldToEventLoop"],
  [/\blongestTurn\b/, "maxTurnMillis"],
  [/\bpatiently\b/i, "retryWhileBusy, retryWhileUnavailable"],
  [/\b(noCallerLeads|mayLead|isLed|handOver)\b/, "leader, callerFinished, canCallerLead, passLeadership"],
  [/\bCircumstances\b/, "CommandContext"],
  [/\bMender\b/, "ProjectionRepair"],
  [/\b(copyBeside|transplant)\b/, "temporaryCopy, restoreInPlace"],
  [/\bunmoved\b/, "checkExpectedVersion"]
]

// The page that says which words have been replaced, and this list, name them.
const exempt = ["scripts/words.mjs", "docs/glossary.md"]

const files = execFileSync("git", ["ls-files", "*.ts", "*.mjs", "*.md", ".ci/run"], { cwd: root, encoding: "utf8" })
  .split("\n").filter((file) => file !== "" && !exempt.includes(file))

const isComment = (file, line) => file.endsWith(".md") || /^\s*(\/\/|\/?\*)|\s\/\/ /.test(line)

const problems = []
for (const file of files) {
  for (const [index, line] of readFileSync(join(root, file), "utf8").split("\n").entries()) {
    for (const [pattern, instead, only] of words) {
      const found = pattern.exec(line)
      if (found === null || only === "comment" && !isComment(file, line)) continue
      problems.push(`${file}:${index + 1}: "${found[0].trim().slice(-40)}": say ${instead}`)
    }
  }
}
finish(problems, `words: ${files.length} files read well`)
