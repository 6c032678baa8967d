/** What the library and the programs that use it share. */

/** The variables in its environment. */
export const variables = {
  directory: "CARAVEL_FILES_DIRECTORY",
  control: "CARAVEL_FILES_CONTROL",
  record: "CARAVEL_FILES_RECORD"
}

/** The kinds of calls. */
export const kinds = {
  open: 1,
  write: 2,
  truncate: 3,
  sync: 4,
  rename: 5,
  unlink: 6,
  mkdir: 7,
  rmdir: 8,
  read: 9
} as const

export type CallKind = keyof typeof kinds

/** What happens to a call: `killWithin` a write, half of it is written. */
export const actions = { none: 0, killBefore: 1, killAfter: 2, killWithin: 3, fail: 4 } as const

export type Action = keyof typeof actions

/** The offsets in the control file, in native byte order: three numbers of 64 bits, and four of 32. */
export const offsets = {
  calls: 0,
  first: 8,
  last: 16,
  action: 24,
  error: 28,
  kinds: 32,
  recording: 36,
  suffix: 40,
  end: 104
} as const

/** The size of a recorded call without its two byte strings. */
export const headSize = 32
