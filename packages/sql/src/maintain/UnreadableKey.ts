import { Data } from "effect"

/** A key is not valid text. It can be read, but not passed as a parameter to select its row or the rows after it. */
export class UnreadableKey extends Data.TaggedError("UnreadableKey")<{ readonly table: string; readonly key: string }> {
  override get message() {
    return `a row of table ${this.table} has a key that is not valid text, read as ${JSON.stringify(this.key)}`
  }
}
