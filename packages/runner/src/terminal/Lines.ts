/** Lines of a byte stream, in memory that does not grow with the stream or with its longest line. */
import { Chunk, Effect, Stream } from "effect"

/**
 * A line with its number, from 1; its text is null if it is longer than `maxLength`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Line {
  readonly number: number
  readonly text: string | null
}

/**
 * The length of the longest line that is read, in UTF-16 units: far more than any command needs.
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
 * Splits bytes, as UTF-8, into lines.
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
