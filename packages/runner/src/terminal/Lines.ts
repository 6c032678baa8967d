/** The lines of a byte stream. Memory is bounded, whatever the length of the stream or of a line. */
import { Chunk, Effect, Stream } from "effect"

/**
 * A line with its number, from 1. It has no text if it is longer than `maxLength`, or is not UTF-8.
 *
 * @since 0.1.0
 * @category models
 */
export type Line =
  & { readonly number: number }
  & ({ readonly text: string } | { readonly text: null; readonly problem: "long" | "encoding" })

/**
 * The maximum length of a line, in UTF-16 units: far more than any command needs.
 *
 * @since 0.1.0
 * @category models
 */
export const maxLength = 1_048_576

/** The maximum length of a line in bytes: a UTF-16 unit has at most three. */
const maxBytes = 3 * maxLength

const newline = "\n".charCodeAt(0)

class Splitter {
  /** A byte order mark is ignored at the beginning only. */
  private decoder = new TextDecoder("utf-8", { fatal: true })
  private number = 0
  private parts: Array<Uint8Array> = []
  private length = 0

  push(bytes: Uint8Array): Array<Line> {
    const lines: Array<Line> = []
    let start = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      lines.push(this.take(bytes.subarray(start, end)))
      start = end + 1
    }
    this.keep(bytes.subarray(start))
    return lines
  }

  end(): Array<Line> {
    return this.length === 0 ? [] : [this.take(new Uint8Array())]
  }

  private keep(part: Uint8Array) {
    this.length += part.length
    if (this.length > maxBytes) this.parts = []
    else if (part.length > 0) this.parts.push(part)
  }

  private take(part: Uint8Array): Line {
    this.keep(part)
    const number = ++this.number
    const { length, parts } = this
    this.parts = []
    this.length = 0
    const text = length > maxBytes ? undefined : this.decoded(parts)
    if (text !== undefined && text.length > maxLength || length > maxBytes) {
      return { number, text: null, problem: "long" }
    }
    return text === undefined ? { number, text: null, problem: "encoding" } : { number, text }
  }

  private decoded(parts: ReadonlyArray<Uint8Array>): string | undefined {
    const { decoder } = this
    if (this.number === 1) this.decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
    try {
      return decoder.decode(parts.length === 1 ? parts[0] : Buffer.concat(parts))
    } catch {
      return undefined
    }
  }
}

/**
 * Splits UTF-8 bytes into lines.
 *
 * @since 0.1.0
 * @category streams
 */
export const fromBytes = <E>(bytes: Stream.Stream<Uint8Array, E>): Stream.Stream<Line, E> =>
  Stream.suspend(() => {
    const splitter = new Splitter()
    return Stream.concat(
      Stream.mapConcat(bytes, (chunk) => splitter.push(chunk)),
      Stream.unwrap(Effect.sync(() => Stream.fromChunk(Chunk.unsafeFromArray(splitter.end()))))
    )
  })
