import { Schema } from "effect"

/** The file cannot be imported. The message says what to do. */
export class UnusableSource
  extends Schema.TaggedError<UnusableSource>("@caravel/sql/UnusableSource")("UnusableSource", {
    filename: Schema.String,
    reason: Schema.Literal("missing", "unreadable", "table", "column", "caravel", "changed"),
    /** The table or column that is missing, or what the driver said. */
    detail: Schema.String
  })
{
  override get message() {
    return `${this.filename} ${this.why}`
  }

  private get why(): string {
    switch (this.reason) {
      case "missing":
        return "does not exist"
      case "unreadable":
        return `cannot be read: ${this.detail}`
      case "table":
        return `has no table ${this.detail}: it is not a database of tenants, relays and their activities`
      case "column":
        return `has no column ${this.detail}, which cannot be omitted`
      case "caravel":
        return "is a database of this Caravel already: name it with --database, or copy the file"
      case "changed":
        return "has changed since its import began: import it into another database, while no program writes to it"
    }
  }
}
