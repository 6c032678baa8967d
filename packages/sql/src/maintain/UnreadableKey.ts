import { Data } from "effect"

/** A key that is not valid text: it can be read, but what has it or follows it cannot be asked for. */
export class UnreadableKey extends Data.TaggedError("UnreadableKey")<{ readonly table: string; readonly key: string }> {
  override get message() {
    return `a row of table ${this.table} has a key that is not valid text, read as ${JSON.stringify(this.key)}`
  }
}
