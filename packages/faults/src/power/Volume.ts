/**
 * A file system that knows which of its contents are on the disk for certain: those that were synced. A power loss
 * keeps a choice of the rest.
 *
 * The rules are those of POSIX, which promises less than common file systems do. What is written to a file is certain
 * once the file is synced, and its name once its directory is synced. Until then, each sector of a file, its length and
 * each entry of a directory can be of any moment since the last sync, whatever the order of the calls. A sector is
 * written as a whole or not at all, and writing one does not change others, which SQLite takes for granted too
 * (https://www.sqlite.org/psow.html). Renaming is atomic.
 *
 * Not covered: disks that lose what they have confirmed as synced or that damage other sectors, sectors that are found
 * with random contents, owners and modes of files, and writes through memory maps.
 */
import { type PCGRandom } from "effect/Utils"
import * as fs from "node:fs"
import { dirname, join, relative } from "node:path"
import type { Call } from "../interposer/Calls.js"

const sector = 512

/** What is kept of the changes since the last sync. */
export type Keep = "nothing" | "everything" | "beginning" | "subset"

export const keeps: ReadonlyArray<Keep> = ["nothing", "beginning", "subset", "everything"]

type Change =
  | { readonly _tag: "Write"; readonly offset: number; readonly bytes: Buffer }
  | { readonly _tag: "Truncate"; readonly length: number }

/** The file of an entry, or `directory`. */
type Entry = File | "directory"

interface EntryChange {
  /** The directories of which the change is part. */
  readonly directories: ReadonlyArray<string>
  readonly remove?: string
  readonly add?: readonly [path: string, entry: Entry]
}

/** A file's bytes, whose number can grow. */
class Contents {
  private bytes: Buffer
  length: number

  constructor(bytes: Buffer) {
    this.bytes = Buffer.from(bytes)
    this.length = bytes.length
  }

  get value(): Buffer {
    return this.bytes.subarray(0, this.length)
  }

  resize(length: number): void {
    if (length > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(length, this.bytes.length * 2))
      this.bytes.copy(grown, 0, 0, this.length)
      this.bytes = grown
    } else if (length < this.length) this.bytes.fill(0, length, this.length)
    this.length = length
  }

  apply(change: Change): void {
    if (change._tag === "Truncate") return this.resize(change.length)
    this.resize(Math.max(this.length, change.offset + change.bytes.length))
    change.bytes.copy(this.bytes, change.offset)
  }

  /** Applies the part of a change that is in one sector, and not the length. */
  applyIn(start: number, change: Change): void {
    const end = Math.min(start + sector, this.length)
    if (change._tag === "Truncate") {
      if (change.length < end) this.bytes.fill(0, Math.max(start, change.length), end)
      return
    }
    const from = Math.max(start, change.offset)
    const to = Math.min(end, change.offset + change.bytes.length)
    if (from < to) change.bytes.copy(this.bytes, from, from - change.offset, to - change.offset)
  }
}

class File {
  readonly synced: Contents
  private changes: Array<Change> = []

  constructor(bytes: Buffer = Buffer.alloc(0)) {
    this.synced = new Contents(bytes)
  }

  change(change: Change): void {
    this.changes.push(change)
  }

  sync(): void {
    for (const change of this.changes) this.synced.apply(change)
    this.changes = []
  }

  /** The bytes after a power loss. */
  after(keep: Keep, random: PCGRandom): Buffer {
    const kept = new Contents(this.synced.value)
    if (keep === "subset") {
      this.keepSectors(kept, random)
    } else {
      const count = keep === "nothing" ? 0 : this.changes.length
      const most = keep === "beginning" ? random.integer(count + 1) : count
      for (const change of this.changes.slice(0, most)) kept.apply(change)
      const cut = this.changes[most]
      if (keep === "beginning" && cut?._tag === "Write") {
        // The write that was going on ends in the middle of a page.
        const sectors = random.integer(Math.ceil(cut.bytes.length / sector) + 1)
        const end = Math.floor(cut.offset / sector + sectors) * sector - cut.offset
        if (end > 0) kept.apply({ ...cut, bytes: cut.bytes.subarray(0, end) })
      }
    }
    return kept.value
  }

  /** For the length and for each sector, chooses a moment between two changes. */
  private keepSectors(kept: Contents, random: PCGRandom): void {
    const before = kept.length
    const lengths = [before]
    const touched = new Map<number, Array<Change>>()
    for (const change of this.changes) {
      const length = lengths.at(-1)!
      const [from, to] = change._tag === "Truncate"
        ? [change.length, Math.max(length, before)]
        : [change.offset, change.offset + change.bytes.length]
      lengths.push(change._tag === "Truncate" ? change.length : Math.max(length, to))
      for (let start = Math.floor(from / sector) * sector; start < to; start += sector) {
        const changes = touched.get(start)
        if (changes === undefined) touched.set(start, [change])
        else changes.push(change)
      }
    }
    kept.resize(Math.max(...lengths))
    for (const [start, changes] of touched) {
      const moment = random.integer(changes.length + 1)
      for (const change of changes.slice(0, moment)) kept.applyIn(start, change)
    }
    kept.resize(lengths[random.integer(lengths.length)]!)
  }
}

/** The files below one directory. */
export class Volume {
  private readonly root: string
  /** The entries that a program sees, and those that are certain. */
  private readonly current = new Map<string, Entry>()
  private readonly synced = new Map<string, Entry>()
  private changes: Array<EntryChange> = []
  private readonly open = new Map<number, readonly [path: string, entry: Entry | undefined]>()

  /** Everything that the directory holds now is certain. */
  constructor(root: string) {
    this.root = root
    this.read(root)
  }

  private read(path: string): void {
    for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
      const name = join(path, entry.name)
      const found = entry.isDirectory() ? "directory" : new File(fs.readFileSync(name))
      this.current.set(name, found)
      this.synced.set(name, found)
      if (entry.isDirectory()) this.read(name)
    }
  }

  /** Follows a call. */
  apply(call: Call): void {
    switch (call._tag) {
      case "Open":
        return this.opened(call)
      case "Write":
      case "Truncate":
        return this.fileOf(call.fd).change(call)
      case "Sync":
        return this.sync(call.fd)
      case "Rename":
        return this.rename(call.from, call.to)
      case "Mkdir":
        return this.change({ directories: [dirname(call.path)], add: [call.path, "directory"] })
      case "Unlink":
      case "Rmdir":
        return this.change({ directories: [dirname(call.path)], remove: call.path })
    }
  }

  private opened({ fd, flags, path }: Extract<Call, { readonly _tag: "Open" }>): void {
    if (!this.current.has(path) && path !== this.root) {
      this.change({ directories: [dirname(path)], add: [path, new File()] })
    }
    const entry = this.current.get(path)
    this.open.set(fd, [path, entry])
    if (entry instanceof File && (flags & fs.constants.O_TRUNC) !== 0) entry.change({ _tag: "Truncate", length: 0 })
  }

  private fileOf(fd: number): File {
    const entry = this.open.get(fd)?.[1]
    if (!(entry instanceof File)) throw new Error(`descriptor ${fd} is not that of a file`)
    return entry
  }

  private sync(fd: number): void {
    const [path, entry] = this.open.get(fd) ?? []
    if (entry instanceof File) return entry.sync()
    const isOf = ({ directories }: EntryChange) => directories.some((directory) => directory === path)
    for (const change of this.changes.filter(isOf)) applyTo(this.synced, change)
    this.changes = this.changes.filter((change) => !isOf(change))
  }

  private rename(from: string, to: string): void {
    const entry = this.current.get(from)
    if (!(entry instanceof File)) throw new Error(`${from} is no file`)
    this.change({ directories: [dirname(from), dirname(to)], remove: from, add: [to, entry] })
  }

  private change(change: EntryChange): void {
    applyTo(this.current, change)
    this.changes.push(change)
  }

  /** Writes what is there after a power loss now into an empty directory. */
  writeImage(directory: string, keep: Keep, random: PCGRandom): void {
    const entries = new Map(this.synced)
    const most = random.integer(this.changes.length + 1)
    this.changes.forEach((change, n) => {
      const isKept = keep === "everything" || keep === "beginning" && n < most ||
        keep === "subset" && random.integer(2) === 1
      if (isKept) applyTo(entries, change)
    })
    const paths = [...entries.keys()].sort()
    for (const path of paths) {
      const target = join(directory, relative(this.root, path))
      // Without its directory, a file is lost.
      if (!fs.existsSync(dirname(target))) continue
      const entry = entries.get(path)!
      if (entry === "directory") fs.mkdirSync(target)
      else if (path.endsWith("-shm")) fs.writeFileSync(target, garbage)
      else fs.writeFileSync(target, entry.after(keep, random))
    }
  }
}

/** SQLite writes its index of the log through a memory map, in no order, and must not believe what it finds there. */
const garbage = Buffer.alloc(32_768, 0x5a)

const applyTo = (entries: Map<string, Entry>, { add, remove }: EntryChange): void => {
  if (remove !== undefined) entries.delete(remove)
  if (add !== undefined) entries.set(...add)
}
