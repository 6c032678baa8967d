/** Copies of a database that is open. This process must not open its files: closing them would drop SQLite's locks. */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"

/** Copies a database and its log, as a process that is killed would leave them. */
export const copyOpen = (from: string, to: string): void => {
  for (const suffix of ["", "-wal"]) {
    if (existsSync(`${from}${suffix}`)) execFileSync("cp", [`${from}${suffix}`, `${to}${suffix}`])
  }
}
