import { Schema } from "effect"

/** The file is nothing that can be imported. To recover, do what its message says. */
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
        return `has no table ${this.detail}: it is no database of tenants, relays and their activities`
      case "column":
        return `has no column ${this.detail}, which cannot be left away`
      case "caravel":
        return "is a database of this Caravel already: name it with --database, or copy the file"
      case "changed":
        return "has changed since its import began: import it into another database, with nobody writing to it"
    }
  }
}
