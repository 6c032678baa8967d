/** The lines of a byte stream. Memory is bounded, whatever the length of the stream or of a line. */
import { Chunk, Effect, Stream } from "effect"

/**
 * A line with its number, from 1. Its text is null if the line is longer than `maxLength`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Line {
  readonly number: number
  readonly text: string | null
}

/**
 * The maximum length of a line, in UTF-16 units: far more than any command needs.
 *
 * @since 0.1.0
 * @category models
 */
export const maxLength = 1_048_576

class Splitter {
  private readonly decoder = new TextDecoder()
  private number = 0
  private rest = ""
  private overlong = false

  push(bytes: Uint8Array): Array<Line> {
    return this.split(this.decoder.decode(bytes, { stream: true }))
  }

  end(): Array<Line> {
    const lines = this.split(this.decoder.decode())
    return this.rest === "" && !this.overlong ? lines : [...lines, this.take("")]
  }

  private split(text: string): Array<Line> {
    const parts = text.split("\n")
    const last = parts.pop() ?? ""
    const lines = parts.map((part) => this.take(part))
    this.keep(last)
    return lines
  }

  private keep(part: string) {
    if (this.overlong || this.rest.length + part.length > maxLength) {
      this.overlong = true
      this.rest = ""
    } else this.rest += part
  }

  private take(part: string): Line {
    this.keep(part)
    const line = { number: ++this.number, text: this.overlong ? null : this.rest }
    this.rest = ""
    this.overlong = false
    return line
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
