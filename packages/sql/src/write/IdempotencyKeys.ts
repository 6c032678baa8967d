/** The outcomes of submissions with an idempotency key, in the table `caravel_idempotency`. */
import type { IdempotencyConflict, Position, RecordedEvent, Refusal, State } from "@caravel/domain"
import {
  branded,
  fieldIn,
  identityOf,
  type Kept,
  recall,
  resourceKey,
  resourceOf,
  resources,
  scopesOf,
  type Submission
} from "@caravel/domain/adapter"
import { Array as Arr, Data, DateTime, Duration, Effect, Either, Redacted } from "effect"
import { hash } from "node:crypto"
import { Database } from "../database/Database.js"
import * as Tables from "../schema/Tables.js"
import { execute, select, type StatementScript } from "../statement/StatementScript.js"

/**
 * Events of a submission with a key are missing from the journal, so its outcome can be neither returned nor decided
 * again.
 */
export class OutcomeMissing extends Data.TaggedError("OutcomeMissing")<
  Pick<Tables.IdempotencyRow, "position" | "events">
> {
  override get message() {
    return `the outcome of this idempotency key is ${this.events} events from position ${this.position}, which are not all ` +
      "in the journal: see caravel verify"
  }
}

/** Returns the events of an accepted submission, given those that its batch has recorded. */
export type Answer = (recorded: ReadonlyArray<RecordedEvent>) => ReadonlyArray<RecordedEvent>

/** The keys of a batch: the outcomes that are known, and those to be stored. */
export class Keys {
  /** The rows of outcomes that are decided for the first time, once their events are recorded. */
  readonly added: Array<(recorded: ReadonlyArray<RecordedEvent>) => Tables.IdempotencyRow> = []
  private readonly known: Map<string, Known>
  private readonly kept: number

  constructor(known: Map<string, Known>, kept: number) {
    this.known = known
    this.kept = kept
  }

  /** Returns the outcome of the first submission with this one's key. Decides this one if it is the first. */
  *decide(
    state: State,
    submission: Submission,
    decide: () => StatementScript<Either.Either<Answer, Refusal>>
  ): StatementScript<Either.Either<Answer, Refusal | IdempotencyConflict>> {
    const { commands: [[, { now: createdAt }]], idempotencyKey } = submission
    if (idempotencyKey === undefined) return yield* decide()
    const now = DateTime.toEpochMillis(createdAt)
    const ids = Arr.map(scopesOf(state, submission), (scope) => hashOf(scope, idempotencyKey))
    const identity = hashOf(idempotencyKey, Redacted.value(identityOf(submission)))
    const kept = ids.flatMap((id) => this.known.get(id) ?? []).filter(({ until }) => until > now)
    const recalled = recall(kept, identity, idempotencyKey)
    if (recalled !== undefined) return recalled
    const [id] = ids
    const outcome = yield* decide()
    this.known.set(id, { identity, outcome, until: now + this.kept })
    this.added.push((recorded) => ({
      id,
      identity,
      createdAt,
      ...Either.match(outcome, {
        onLeft: (refusal) => ({ position: null, events: 0, refusal }),
        onRight: (answer) => {
          const events = answer(recorded)
          return { position: events[0]!.position, events: events.length, refusal: null }
        }
      })
    }))
    return outcome
  }
}

interface Known extends Kept<Answer, Refusal> {
  /** In milliseconds since 1970. */
  readonly until: number
}

/**
 * A hash: of the tenant and the key, or of the key and the commands. Keys are not stored in clear, so that a reader of
 * the tables cannot guess what a command contained and verify the guess.
 */
const hashOf = (...parts: ReadonlyArray<string>) => hash("sha256", JSON.stringify(parts), "base64url")

/** The number of expired keys that are deleted for each new one: the backlog shrinks at little cost at a time. */
const purgedPerKey = 4

/**
 * Loads and stores the keys of batches, and deletes expired ones. The number of statements does not grow with the
 * number of keys.
 */
export const make = Effect.map(Database, ({ idempotencyKeysKept, tables }) => {
  const millis = Duration.toMillis(idempotencyKeysKept)
  const selectKeys = tables.idempotency.select("id")
  const upsert = tables.idempotency.upsert("id", [])
  const purge = `DELETE FROM caravel_idempotency WHERE id IN (
    SELECT id FROM caravel_idempotency WHERE created_at <= ? ORDER BY created_at LIMIT ?
  )`

  return {
    /** Loads the known outcomes of the submissions' keys, before the submissions are decided on this state. */
    *load(
      { head, state }: { readonly head: number; readonly state: State },
      submissions: ReadonlyArray<Submission>
    ): StatementScript<Either.Either<Keys, Tables.Unreadable | OutcomeMissing>> {
      const found = tables.idempotency.decode(yield* select(selectKeys(idsOf(state, submissions))))
      if (Either.isLeft(found)) return Either.left(found.left)
      const damaged = found.right.find((row) => !Tables.isOutcome(row, head))
      if (damaged !== undefined) return Either.left(new OutcomeMissing(damaged))
      const positions = found.right.flatMap(positionsOf)
      const events = tables.event.decode(yield* select(tables.event.selectAt(positions)))
      return Either.flatMap(events, (events) => {
        const byPosition = new Map(events.map((event) => [event.position, event]))
        const incomplete = found.right.find((row) => positionsOf(row).some((position) => !byPosition.has(position)))
        if (incomplete !== undefined) return Either.left(new OutcomeMissing(incomplete))
        const known = found.right.map((row): [string, Known] => [row.id, {
          identity: row.identity,
          until: DateTime.toEpochMillis(row.createdAt) + millis,
          outcome: row.refusal === null
            ? Either.right(() => positionsOf(row).map((position) => byPosition.get(position)!))
            : Either.left(row.refusal)
        }])
        return Either.right(new Keys(new Map(known), millis))
      })
    },

    *store({ added }: Keys, recorded: ReadonlyArray<RecordedEvent>): StatementScript<void> {
      const stored = added.map((row) => row(recorded))
      if (stored.length === 0) return
      const now = Math.min(...stored.map(({ createdAt }) => DateTime.toEpochMillis(createdAt)))
      const purged = purgedPerKey * stored.length
      // PostgreSQL's integers have neither infinity nor fractions.
      const expired = Math.floor(now - millis)
      yield* execute([
        ...upsert(stored),
        ...(Number.isFinite(expired) ? [[purge, [expired, purged], true] as const] : [])
      ])
    }
  }
})

/**
 * The hashes under which the submissions' keys may be stored. A resource that does not exist yet belongs to the tenant
 * that creates it in the batch.
 */
const idsOf = (before: State, submissions: ReadonlyArray<Submission>): ReadonlyArray<string> => {
  const owners = new Map<string, Array<string>>()
  for (const { commands } of submissions) {
    for (const [command] of commands) {
      const resource = resourceOf(command)
      const { createdBy, owner } = resources[resource.resourceType]
      if (command._tag !== createdBy) continue
      const key = resourceKey(resource)
      owners.set(key, [...owners.get(key) ?? [], String(fieldIn(command, owner))])
    }
  }
  const ids = submissions.flatMap((submission) => {
    const { commands: [[command]], idempotencyKey } = submission
    if (idempotencyKey === undefined) return []
    const created = owners.get(resourceKey(resourceOf(command))) ?? []
    const scopes = [...scopesOf(before, submission), ...created]
    return scopes.map((scope) => hashOf(scope, idempotencyKey))
  })
  return [...new Set(ids)]
}

const positionsOf = ({ events, position }: Tables.IdempotencyRow): ReadonlyArray<Position> =>
  position === null ? [] : Arr.makeBy(events, (index) => branded<Position>(position + index))
