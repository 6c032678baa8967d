/** The calls that the library has recorded. */
import { resolve } from "node:path"
import { headSize, kinds } from "./Layout.js"

/** A call that changed a file or a directory, or synced one. */
export type Call =
  | { readonly _tag: "Open"; readonly fd: number; readonly path: string; readonly flags: number }
  | { readonly _tag: "Write"; readonly fd: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly _tag: "Truncate"; readonly fd: number; readonly length: number }
  | { readonly _tag: "Sync"; readonly fd: number }
  | { readonly _tag: "Rename"; readonly from: string; readonly to: string }
  | { readonly _tag: "Unlink"; readonly path: string }
  | { readonly _tag: "Mkdir"; readonly path: string }
  | { readonly _tag: "Rmdir"; readonly path: string }

/** Decodes a record. A last call that a kill has cut off is omitted. */
export const decode = (record: Buffer): ReadonlyArray<Call> => {
  const calls: Array<Call> = []
  let start = 0
  while (start + headSize <= record.length) {
    const first = start + headSize
    const second = first + record.readInt32LE(start + 20)
    const end = second + record.readInt32LE(start + 24)
    if (end > record.length) break
    calls.push(callOf({
      kind: record.readInt32LE(start),
      fd: record.readInt32LE(start + 4),
      offset: Number(record.readBigInt64LE(start + 8)),
      flags: record.readInt32LE(start + 16),
      first: record.subarray(first, second),
      second: record.subarray(second, end)
    }))
    start = end
  }
  return calls
}

interface Recorded {
  readonly kind: number
  readonly fd: number
  readonly offset: number
  readonly flags: number
  readonly first: Buffer
  readonly second: Buffer
}

const callOf = ({ fd, first, flags, kind, offset, second }: Recorded): Call => {
  switch (kind) {
    case kinds.open:
      return { _tag: "Open", fd, path: pathOf(first), flags }
    case kinds.write:
      return { _tag: "Write", fd, offset, bytes: first }
    case kinds.truncate:
      return { _tag: "Truncate", fd, length: offset }
    case kinds.sync:
      return { _tag: "Sync", fd }
    case kinds.rename:
      return { _tag: "Rename", from: pathOf(first), to: pathOf(second) }
    case kinds.unlink:
      return { _tag: "Unlink", path: pathOf(first) }
    case kinds.mkdir:
      return { _tag: "Mkdir", path: pathOf(first) }
    case kinds.rmdir:
      return { _tag: "Rmdir", path: pathOf(first) }
    default:
      throw new Error(`call ${kind} is not known`)
  }
}

/** Names of directories may end with a slash. */
const pathOf = (bytes: Buffer) => resolve(bytes.toString())

/** A call for people, without the bytes. */
export const render = (call: Call): string => {
  switch (call._tag) {
    case "Open":
      return `open ${call.path} = ${call.fd}`
    case "Write":
      return `write ${call.fd} at ${call.offset}, ${call.bytes.length} bytes`
    case "Truncate":
      return `truncate ${call.fd} to ${call.length}`
    case "Sync":
      return `sync ${call.fd}`
    case "Rename":
      return `rename ${call.from} to ${call.to}`
    default:
      return `${call._tag.toLowerCase()} ${call.path}`
  }
}
