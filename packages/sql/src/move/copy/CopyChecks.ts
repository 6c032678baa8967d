/** What a copy checks of its target before and after it writes. */
import { Position, StorageError, type Verification } from "@caravel/domain"
import type { Connection } from "@effect/sql/SqlConnection"
import { Effect, Schema } from "effect"
import { Database } from "../../database/Database.js"
import * as Epochs from "../../schema/Epochs.js"
import { headOf } from "../../schema/Head.js"
import * as CopySource from "./CopySource.js"

/** The target's journal is not the beginning of the source's journal. Name an empty database. */
export class NotACopy extends Schema.TaggedError<NotACopy>("@caravel/sql/NotACopy")("NotACopy", {
  reason: Schema.Literal("same", "epoch", "ahead", "event"),
  /** The target's last position. */
  position: Position
}) {
  override get message() {
    switch (this.reason) {
      case "same":
        return "the source and the target are the same database"
      case "epoch":
        return `the target holds another journal, up to position ${this.position}: name an empty one`
      case "ahead":
        return `the target has been written to: its journal ends at position ${this.position}, after the source's journal`
      case "event":
        return `the target has been written to, or the source restored: they differ at position ${this.position}`
    }
  }
}

/** The last position of the target's journal. Fails if the sequence is damaged. */
export const lastPosition = (connection: Connection) =>
  Effect.flatMap(
    Database,
    ({ dialect }) => Effect.flatMap(connection.executeValues(dialect.lastPosition, []), headOf)
  )

/** Fails unless the target's journal, which ends at `head`, is the beginning of the source's journal. */
export const mustBePrefix = (connection: Connection, head: Position, source: CopySource.Source) =>
  Effect.gen(function*() {
    const { dialect } = yield* Database
    if ((yield* CopySource.valueOf(connection, dialect.identity)) === source.identity) {
      return yield* new NotACopy({ reason: "same", position: head })
    }
    if (head === 0) return
    const epochs = yield* connection.executeValues("SELECT epoch FROM caravel_epoch ORDER BY abs(number)", [])
    if (!epochs.every(([epoch], n) => epoch === source.epochs[n]?.["epoch"])) {
      return yield* new NotACopy({ reason: "epoch", position: head })
    }
    if (head > source.head) return yield* new NotACopy({ reason: "ahead", position: head })
    if ((yield* CopySource.valueOf(connection, CopySource.eventAt, [head])) !== (yield* source.eventAt(head))) {
      return yield* new NotACopy({ reason: "event", position: head })
    }
  })

/** Fails if another process has written to the unfinished copy, which ended at `head`. */
export const mustBeAt = (connection: Connection, head: number) =>
  Effect.gen(function*() {
    const isWhole = (yield* connection.executeValues(Epochs.currentEpoch, [])).length > 0
    if (isWhole || (yield* lastPosition(connection)) !== head) return yield* overtaken
  })

/** Fails if the verified copy has other numbers of rows than the source. */
export const mustEqual = (source: CopySource.Source, { events, head, relays, secrets, tenants }: Verification) => {
  const expected = [source.head, source.head, source.tenants, source.relays, source.secrets]
  return [head, events, tenants, relays, secrets].some((count, n) => count !== expected[n])
    ? unsound("copy", "the source's rows differ from its journal")
    : Effect.void
}

const overtaken = new StorageError({
  reason: "busy",
  operation: "copy",
  cause: new Error("another process is writing to the target")
})

/** The source was opened, but its rows or its journal are not as they should be. */
export const unsound = (operation: string, why: string) =>
  new StorageError({
    reason: "corrupt",
    operation,
    cause: new Error(why),
    advice: "caravel verify says what differs, and how to repair it"
  })
