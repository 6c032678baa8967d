/** The messages of PostgreSQL's protocol, version 3. */

/**
 * Splits what one side of a connection sends into messages. The first one of a client has no type, only a length.
 */
export class Messages {
  private rest = Buffer.of()
  private typed: boolean

  constructor(from: "client" | "server") {
    this.typed = from === "server"
  }

  /** Takes bytes as they arrive, and returns the messages that are complete now. */
  push(bytes: Buffer): ReadonlyArray<Buffer> {
    this.rest = Buffer.concat([this.rest, bytes])
    const messages: Array<Buffer> = []
    for (;;) {
      const start = this.typed ? 1 : 0
      if (this.rest.length < start + 4) return messages
      const length = start + this.rest.readInt32BE(start)
      if (this.rest.length < length) return messages
      messages.push(this.rest.subarray(0, length))
      this.rest = this.rest.subarray(length)
      this.typed = true
    }
  }
}
