/** The file by which the library is told what to do. It can be changed at any time, by any process. */
import * as fs from "node:fs"
import { type Action, actions, type CallKind, kinds, offsets } from "./Layout.js"

/** What happens to which calls. */
export interface Plan {
  readonly action: Action
  /** The first and the last call that are affected, counted from 1 since the plan was made. All by default. */
  readonly first?: number | undefined
  readonly last?: number | undefined
  /** Which calls count; by default, those that change something. */
  readonly kinds?: ReadonlyArray<CallKind> | undefined
  /** Only calls on names that end so. */
  readonly suffix?: string | undefined
  /** The number of the error that failing calls return, as in `os.constants.errno`. */
  readonly error?: number | undefined
  /** Whether calls are recorded. */
  readonly recording?: boolean | undefined
}

const changing: ReadonlyArray<CallKind> = ["open", "write", "truncate", "sync", "rename", "unlink", "mkdir", "rmdir"]

/** Replaces the plan. The file is created if there is none. */
export const plan = (
  filename: string,
  {
    action,
    error = 0,
    first = 1,
    kinds: counted = changing,
    last = Number.MAX_SAFE_INTEGER,
    recording = false,
    suffix = ""
  }: Plan
): void => {
  const bytes = Buffer.alloc(offsets.end)
  bytes.writeBigInt64LE(BigInt(first), offsets.first)
  bytes.writeBigInt64LE(BigInt(last), offsets.last)
  bytes.writeInt32LE(actions[action], offsets.action)
  bytes.writeInt32LE(error, offsets.error)
  bytes.writeInt32LE(counted.reduce((mask, kind) => mask | 1 << kinds[kind], 0), offsets.kinds)
  bytes.writeInt32LE(recording ? 1 : 0, offsets.recording)
  bytes.write(suffix, offsets.suffix)
  const file = fs.openSync(filename, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
  fs.writeSync(file, bytes, 0, bytes.length, 0)
  fs.closeSync(file)
}

/** The number of calls that counted since the plan was made. */
export const calls = (filename: string): number => Number(fs.readFileSync(filename).readBigInt64LE(offsets.calls))
