/** Checks the invariants of Caravel on what a simulation has seen, against the journal at the end. */
import {
  type Activity,
  activityOf,
  type CommandRequest,
  decide,
  decodeCommand,
  evolve,
  type RecordedEvent,
  type State,
  stateOf,
  type StorageError
} from "@caravel/domain"
import { Either } from "effect"
import type { Faults } from "./Faults.js"
import type { Consumer, History, Note, Reader, Submission, Transaction } from "./History.js"
import type { Checkpoint, Observer } from "./Observer.js"
import { mayFail, type Program, secretMark } from "./Program.js"

/** The invariants that can only be checked once the program has ended. */
export const check = (
  program: Program,
  history: History,
  events: ReadonlyArray<RecordedEvent>,
  observer: Observer,
  faults: Faults
): void => new Oracle(program, history, events, observer, faults).check()

/** Whether a consumer's checkpoint is behind everything that it has handled, while the program runs. */
export const checkCheckpoints = (history: History, observer: Observer): void => {
  if (history.consumers.every(({ from }) => from === undefined)) return
  for (const checkpoint of observer.checkpoints()) {
    const consumer = history.consumers.find(({ name }) => name === checkpoint.name)
    if (consumer?.from !== undefined) checkCheckpoint(history, observer, consumer, checkpoint)
  }
}

const checkCheckpoint = (history: History, observer: Observer, consumer: Consumer, checkpoint: Checkpoint) => {
  const { name, parked, position } = checkpoint
  const effects = consumer.data.transactional ? observer.effectsOf(name) : undefined
  const handled = new Set(effects ?? consumer.handled.map(({ position }) => position))
  for (const [at, type] of observer.activities(consumer.from!, position)) {
    if (passes(consumer, type) && !handled.has(at) && !parked.has(at)) {
      history.report(`${name}'s checkpoint is at ${position}, but position ${at} was not handled`)
    }
  }
}

const passes = ({ data: { activityType } }: Consumer, type: string) =>
  activityType === null || activityType.includes(type)

class Oracle {
  private readonly program: Program
  private readonly history: History
  private readonly events: ReadonlyArray<RecordedEvent>
  private readonly observer: Observer
  /** How often a statement has failed. */
  private readonly struck: number
  private readonly activities: ReadonlyArray<Activity>
  /** The state after each position. */
  private readonly states: ReadonlyArray<State>
  private readonly byMark = new Map<string, Array<RecordedEvent>>()

  constructor(
    program: Program,
    history: History,
    events: ReadonlyArray<RecordedEvent>,
    observer: Observer,
    { struck }: Faults
  ) {
    this.struck = struck.filter(({ effect }) => ["full", "io", "aborted", "reported"].includes(effect)).length
    this.program = program
    this.history = history
    this.events = events
    this.observer = observer
    this.activities = events.flatMap((event) => activityOf(event) ?? [])
    this.states = statesOf(events)
    for (const event of events) {
      const mark = event.metadata.correlationId ?? ""
      this.byMark.set(mark, [...this.byMark.get(mark) ?? [], event])
    }
  }

  check(): void {
    this.checkOrder()
    for (const submission of this.history.submissions) this.checkSubmission(submission)
    this.checkKeys()
    this.checkFailures()
    this.checkNotes()
    for (const reader of this.history.readers) this.checkReader(reader)
    for (const consumer of this.history.consumers) this.checkConsumer(consumer)
    this.checkSecrets()
  }

  private report(problem: string): void {
    this.history.report(problem)
  }

  private checkOrder(): void {
    const ids = new Set<string>()
    this.events.forEach(({ id, position }, index) => {
      const previous = index === 0 ? 0 : this.events[index - 1]!.position
      if (position <= previous) this.report(`position ${position} follows position ${previous}`)
      if (position !== index + 1) this.report(`the journal has a hole before position ${position}`)
      if (ids.has(id)) this.report(`the event at position ${position} is in the journal twice`)
      ids.add(id)
    })
  }

  // ---- commands

  private checkSubmission(submission: Submission): void {
    const { commands, isUncertain, key, mark, outcome, present, transaction } = submission
    const events = this.byMark.get(mark) ?? []
    const about = `${mark} (${commands.map(({ _tag }) => _tag).join(", ")}; ${outcome})`
    // A fiber of a transaction may have been interrupted before it started.
    if (outcome === "pending" && transaction !== undefined && events.length === 0) return
    if (outcome === "pending") return this.report(`${about} was never answered`)
    if (outcome === "died") {
      return this.report(`${about} died: ${String(submission.error)}\n${(submission.error as Error).stack ?? ""}`)
    }
    if (events.length !== 0 && events.length !== commands.length) {
      this.report(`${about} wrote ${events.length} events for ${commands.length} commands`)
    }
    if (events.some(({ position }, index) => position !== events[0]!.position + index)) {
      this.report(`${about} is not in one piece in the journal`)
    }
    this.checkDecisions(submission, events, about)
    if (submission.expected !== undefined && events.length > 0 && events[0]!.version !== submission.expected + 1) {
      this.report(`${about} expected version ${submission.expected}, and wrote version ${events[0]!.version}`)
    }
    if (transaction !== undefined) return this.checkInTransaction(submission, transaction, events, about)
    switch (outcome) {
      case "acknowledged":
        if (key === undefined && events.length !== commands.length) this.report(`${about} is not in the journal`)
        this.checkAnswer(submission, about)
        break
      case "refused":
        // A commit that was reported as failed is decided again.
        if (isUncertain) break
        if (events.length > 0) this.report(`${about} is in the journal`)
        if (key === undefined) this.checkRefusal(submission, about)
        break
      case "failed":
        if (events.length > 0 && !isUncertain) this.report(`${about} is in the journal: ${String(submission.error)}`)
        if (!mayFail(this.program)) this.report(`${about}, although nothing was wrong: ${String(submission.error)}`)
        break
      case "interrupted":
        if (events.length !== present) {
          this.report(`${about} was not decided when it was interrupted: it wrote ${events.length} events later`)
        }
    }
  }

  /** Each event is what its command results in, on the state before it. */
  private checkDecisions(submission: Submission, events: ReadonlyArray<RecordedEvent>, about: string): void {
    events.forEach(({ position, ...event }, index) => {
      const command = decoded(submission.commands[index]!)
      const expected = index === 0 ? submission.expected : undefined
      const { createdAt: now, id, metadata } = event
      const decision = decide(this.states[position - 1]!, command, { now, id, metadata, expected })
      if (Either.isLeft(decision)) {
        this.report(`${about} is at position ${position}, but should have been refused: ${decision.left.message}`)
      } else if (plain(decision.right) !== plain(event)) {
        this.report(`${about} wrote ${plain(event)} at position ${position} instead of ${plain(decision.right)}`)
      }
    })
  }

  /** A refusal is right in some state of the journal between the request and the answer. */
  private checkRefusal({ answeredAt, commands, error, expected, sentAt }: Submission, about: string): void {
    for (let position = sentAt; position <= answeredAt; position++) {
      const refusal = this.refusalAt(position, commands.map(decoded), expected)
      if (refusal !== undefined && String(refusal) === String(error)) return
    }
    this.report(`${about} was refused, but was right from position ${sentAt} to ${answeredAt}: ${String(error)}`)
  }

  private refusalAt(position: number, commands: ReadonlyArray<CommandRequest>, expected: number | undefined) {
    let state = this.states[position]
    if (state === undefined) return undefined
    const { createdAt: now, id } = this.events[0] ?? anyEvent
    for (const [index, command] of commands.entries()) {
      const context = { now, id, metadata: {}, expected: index === 0 ? expected : undefined }
      const decision = decide(state, command, context)
      if (Either.isLeft(decision)) return decision.left
      state = evolve(state, decision.right)
    }
    return undefined
  }

  private checkInTransaction(
    submission: Submission,
    transaction: Transaction,
    events: ReadonlyArray<RecordedEvent>,
    about: string
  ): void {
    const { key, outcome } = submission
    if (outcome === "acknowledged") {
      const committed = isCommitted(transaction)
      if (committed === true) {
        if (key === undefined && events.length === 0) {
          this.report(`${about} is not in the journal, but ${transaction.name} was committed`)
        }
        this.checkAnswer(submission, about)
      }
      if (key === undefined && committed === false && events.length > 0 && !isUncertain(transaction)) {
        this.report(`${about} is in the journal, but ${transaction.name} was not committed`)
      }
    } else if (outcome !== "interrupted" && events.length > 0) {
      if (!submission.isUncertain) this.report(`${about} is in the journal, in ${transaction.name}`)
    }
  }

  /** The answer is the activity of each event that the submission wrote, or the first one with its key. */
  private checkAnswer({ activities, key, mark }: Submission, about: string): void {
    const marks = key === undefined
      ? [mark]
      : this.history.submissions.flatMap((other) => other.key === key ? other.mark : [])
    const written = marks.flatMap((mark) => this.byMark.get(mark) ?? [])
    const expected = plain(written.map(activityOf))
    if (plain(activities) !== expected) this.report(`${about} was answered ${plain(activities)} instead of ${expected}`)
  }

  /** One fault makes one submission fail: the others of its batch are tried one by one. */
  private checkFailures(): void {
    const failed = this.history.submissions.filter(({ error, outcome, transaction }) =>
      outcome === "failed" && transaction === undefined && ["full", "other"].includes((error as StorageError).reason)
    )
    if (failed.length > this.struck) {
      this.report(`${failed.length} submissions failed because of ${this.struck} faults: ${String(failed[0]!.error)}`)
    }
  }

  /** All submissions with one key wrote the events of one. */
  private checkKeys(): void {
    const keys = new Set(this.history.submissions.flatMap(({ key }) => key ?? []))
    for (const key of keys) {
      const attempts = this.history.submissions.filter((submission) => submission.key === key)
      const written = attempts.filter(({ mark }) => this.byMark.has(mark))
      if (written.length > 1) this.report(`${key} was used by ${attempts.length} attempts, and ${written.length} wrote`)
      const answered = attempts.some(({ outcome, transaction }) =>
        outcome === "acknowledged" && (transaction === undefined || isCommitted(transaction) === true)
      )
      if (answered && written.length === 0) this.report(`${key} was acknowledged, and is not in the journal`)
    }
  }

  private checkNotes(): void {
    const found = this.observer.notes()
    for (const note of this.history.notes) {
      const count = found.filter((text) => text === note.text).length
      const expected = expectedOf(note)
      if (count > 1 || (expected !== undefined && count !== expected)) {
        this.report(`${note.text} (${note.outcome}) was written ${count} times`)
      }
    }
  }

  // ---- readers

  private checkReader({ isOpen, name, seen, since, subscribedAt }: Reader): void {
    const positions = seen.map(({ position }) => position)
    const first = since ?? (positions[0] === undefined ? undefined : positions[0] - 1)
    if (first === undefined) {
      if (isOpen && subscribedAt !== undefined && this.activities.some(({ position }) => position > subscribedAt)) {
        this.report(`${name} received nothing`)
      }
      return
    }
    const last = isOpen ? Infinity : positions.at(-1) ?? first
    const expected = this.activities.filter(({ position }) => position > first && position <= last)
    if (JSON.stringify(expected.map(({ position }) => position)) !== JSON.stringify(positions)) {
      const all = expected.map(({ position }) => position).join(", ")
      this.report(`${name} received ${positions.join(", ") || "nothing"} instead of ${all}`)
    }
    const missed = this.activities.find(({ position }) =>
      subscribedAt !== undefined && position > subscribedAt && position <= first
    )
    if (missed !== undefined) this.report(`${name} subscribed at ${subscribedAt}, and missed ${missed.position}`)
    for (const activity of seen) {
      if (this.events[activity.position - 1]?.id !== activity.id) {
        this.report(`${name} received an activity that is not at position ${activity.position} of the journal`)
      }
    }
  }

  // ---- consumers

  private checkConsumer(consumer: Consumer): void {
    const { data, from, handled, name, resets } = consumer
    if (from === undefined) return
    const effects = data.transactional ? this.observer.effectsOf(name) : undefined
    const positions = effects ?? handled.map(({ position }) => position)
    const counts = new Map<number, number>()
    for (const position of positions) counts.set(position, (counts.get(position) ?? 0) + 1)
    for (const { activityType, position, resourceId } of this.activities) {
      if (position <= from || !passes(consumer, activityType)) continue
      const count = counts.get(position) ?? 0
      if (count === 0) this.report(`${name} never handled position ${position}`)
      if (count > 1 && effects !== undefined && resets === 0) {
        this.report(`${name} is transactional, and handled position ${position} ${count} times`)
      }
      const sent = this.byMark.get(`${name} at ${position}`)?.length ?? 0
      if (data.sends && activityType === "create_relay" && resets === 0 && this.program.adapter === "sqlite") {
        if (sent !== 1) this.report(`${name} handled ${resourceId} at ${position}, and sent ${sent} commands`)
      }
    }
    this.checkOrderOf(consumer, positions)
  }

  /** The first success at each activity of a resource follows that of the activity before it. */
  private checkOrderOf({ data, name, resets }: Consumer, positions: ReadonlyArray<number>): void {
    // A parked activity is handled later than others of its resource; and after a reset, anything is handled again.
    if (data.onFailure === "park" || resets > 0) return
    const resources = new Map(this.activities.map((activity) => [activity.position as number, activity]))
    const last = new Map<string, number>()
    for (const position of new Set(positions)) {
      const activity = resources.get(position)
      if (activity === undefined) continue
      const key = data.concurrency === 1 && data.onFailure === "halt" ? "" : activity.resourceId
      const before = last.get(key) ?? 0
      if (position < before) this.report(`${name} handled position ${position} after ${before}, of the same resource`)
      last.set(key, position)
    }
  }

  private checkSecrets(): void {
    const seen = [
      ...this.history.logs,
      ...this.history.readers.map(({ seen }) => JSON.stringify(seen)),
      JSON.stringify(this.events)
    ]
    for (const text of seen) {
      if (text.includes(secretMark)) this.report(`a secret is in clear: ${text.slice(0, 400)}`)
    }
  }
}

/** Whether a transaction and those around it were committed; undefined if that is not known. */
const isCommitted = (transaction: Transaction): boolean | undefined => {
  const outer = transaction.parent === undefined ? true : isCommitted(transaction.parent)
  if (outer === false || transaction.outcome === "refused" || transaction.outcome === "failed") return false
  return transaction.outcome === "acknowledged" ? outer : undefined
}

const isUncertain = (transaction: Transaction): boolean =>
  transaction.isUncertain || (transaction.parent !== undefined && isUncertain(transaction.parent))

/** How often a note must be there; undefined if it may be there or not. */
const expectedOf = ({ isUncertain: uncertain, outcome, transaction }: Note): number | undefined => {
  const committed = transaction === undefined ? true : isCommitted(transaction)
  const doubtful = uncertain || (transaction !== undefined && isUncertain(transaction))
  if (outcome === "acknowledged" && committed === true) return 1
  if (doubtful || outcome === "interrupted" || committed === undefined) return undefined
  return 0
}

const decoded = (command: { readonly _tag: string }): CommandRequest => {
  const known = decodedCommands.get(command)
  if (known !== undefined) return known
  const result = Either.getOrThrow(decodeCommand(command as never))
  decodedCommands.set(command, result)
  return result
}

const decodedCommands = new WeakMap<object, CommandRequest>()

/** The state after each position. */
export const statesOf = (events: ReadonlyArray<RecordedEvent>): ReadonlyArray<State> => {
  const states = [stateOf([], [])]
  for (const event of events) states.push(evolve(states.at(-1)!, event))
  return states
}

/** A value as text, whatever the order of its fields. */
export const plain = (value: unknown): string => JSON.stringify(value, sorted)

const sorted = (_: string, value: unknown) =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => one < other ? -1 : 1))
    : value

const anyEvent = { createdAt: undefined as never, id: undefined as never }
