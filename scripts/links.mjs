// Relative links in Markdown files resolve, with their anchors; and a title of a test that stands after a link to its file,
// as [`Command.test`](path) "title", is in that file.
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { finish, root } from "./workspace.mjs"

const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"], {
  cwd: root,
  encoding: "utf8"
}).split("\n").filter((name) => name !== "" && existsSync(join(root, name)))

/** A page without its fenced and indented code; every line stays where it is. */
const prose = (path) => {
  let fence
  return readFileSync(path, "utf8").split(/\r?\n/).map((line) => {
    const [, mark] = /^\s*(`{3,}|~{3,})/.exec(line) ?? []
    if (fence === undefined && mark === undefined) return /^ {4}/.test(line) ? "" : line
    if (fence === undefined) fence = mark
    else if (mark !== undefined && mark.startsWith(fence)) fence = undefined
    return ""
  })
}

/** The anchor of a heading on GitHub. */
const anchorOf = (heading) =>
  heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replaceAll(" ", "-")

const anchors = new Map()
const anchorsOf = (path) => {
  if (!anchors.has(path)) {
    const found = new Map()
    for (const line of prose(path)) {
      const [, heading] = /^#{1,6}\s+(.*?)\s*#*$/.exec(line) ?? []
      if (heading === undefined) continue
      const anchor = anchorOf(heading)
      found.set(anchor, (found.get(anchor) ?? 0) + 1)
    }
    anchors.set(
      path,
      new Set(
        [...found].flatMap(([anchor, count]) =>
          Array.from({ length: count }, (_, n) => n === 0 ? anchor : `${anchor}-${n}`)
        )
      )
    )
  }
  return anchors.get(path)
}

const link = /!?\[[^\]]*\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)|\b(?:src|srcset|href)="([^"]+)"|^\[[^\]]+\]:\s*(\S+)/g

const problems = []
let count = 0
for (const name of files) {
  const path = join(root, name)
  prose(path).forEach((line, index) => {
    const problem = (text) => problems.push(`links: ${name}:${index + 1}: ${text}`)
    // Text in backquotes is code, unless it is what a link shows.
    for (const found of line.replaceAll(/`[^`]*`(?!\])/g, "").matchAll(link)) {
      const to = found[1] ?? found[2] ?? found[3]
      if (/^[a-z][a-z+.-]*:/i.test(to)) continue
      count++
      const [file, anchor] = decodeURIComponent(to).split("#")
      const target = file === "" ? path : resolve(dirname(path), file)
      if (relative(root, target).startsWith("..")) problem(`${to} leaves the repository`)
      else if (!existsSync(target)) problem(`there is no ${to}`)
      else if (anchor !== undefined && (statSync(target).isDirectory() || !anchorsOf(target).has(anchor))) {
        problem(`${to}: there is no such heading`)
      }
    }
    for (const [, to, titles] of line.matchAll(/\]\(([^)]*\.ts)\)((?:,? "[^"]+")+)/g)) {
      const target = resolve(dirname(path), to)
      const text = existsSync(target) ? readFileSync(target, "utf8") : ""
      for (const [, title] of titles.matchAll(/"([^"]+)"/g)) {
        if (!text.includes(title)) problem(`${to} has no test titled "${title}"; write its title as it is now`)
      }
    }
  })
}
finish(problems, `links: ${count} in ${files.length} pages resolve`)
