/** Validation of consumers' options: callers in plain JavaScript may pass anything. */
import { type Activity, Position } from "@caravel/domain"
import { decodeInput, expected, Label } from "@caravel/domain/adapter"
import {
  type Array as Arr,
  type Cause,
  Duration,
  Effect,
  Option,
  ParseResult,
  Predicate,
  Schedule,
  Schema
} from "effect"
import { Filter } from "./Checkpoints.js"
import { HandlerTimeout } from "./ConsumerError.js"
import type { Options, ReplayOptions } from "./ConsumerModel.js"

export const decodePosition = decodeInput(Position)

/**
 * Consumer names have the same maximum length as other names that callers choose, so that every database can index
 * them.
 */
export const decodeName = decodeInput(Label)

/** The number of activities that are read ahead: more workers and longer batches than this would not be filled. */
const maxAhead = 1024

const defaultBatchSize = 64

/** Six attempts within about three seconds. */
const untilExhausted: Schedule.Schedule<unknown, Cause.Cause<unknown>> = Schedule.exponential("100 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(5))
)

const duration = (description: string, isValid: (duration: Duration.Duration) => boolean) =>
  Schema.transformOrFail(Schema.Unknown, Schema.DurationFromSelf, {
    strict: true,
    // `Duration` turns negative numbers and NaN into 0.
    decode: (input, _, ast) =>
      typeof input === "number" && !(input >= 0)
        ? ParseResult.fail(new ParseResult.Type(ast, input, `Expected ${description}`))
        : Option.match(Option.filter(Duration.decodeUnknown(input), isValid), {
          onNone: () => ParseResult.fail(new ParseResult.Type(ast, input, `Expected ${description}`)),
          onSome: ParseResult.succeed
        }),
    encode: ParseResult.succeed
  })

const lease = duration(
  "a lease of at least 100 milliseconds, and finite",
  (given) => Duration.isFinite(given) && Duration.greaterThanOrEqualTo(given, "100 millis")
)

const handler = Schema.declare(Predicate.isFunction, { description: "a function" })

const common = {
  name: Label,
  retry: Schema.optional(Schema.Unknown),
  transactional: Schema.optional(Schema.Boolean),
  leaseDuration: Schema.optional(lease),
  stopTimeout: Schema.optional(duration("a stop timeout of at least 0", () => true)),
  handlerTimeout: Schema.optional(
    duration("a handler timeout of at least 1 millisecond", (given) => Duration.toMillis(given) >= 1)
  )
}

// Unknown fields are errors: a filter with a misspelled field would pass all activities.
const strict = { onExcessProperty: "error" } as const

const decodeOptions = decodeInput(
  Schema.Struct({
    ...common,
    handle: Schema.optional(handler),
    handleBatch: Schema.optional(handler),
    batchSize: Schema.optional(Schema.Int.pipe(Schema.between(1, maxAhead))),
    from: Schema.Union(Schema.Literal("beginning", "now"), Position).annotations(
      expected("\"beginning\", \"now\" or a position: an integer of at least 0")
    ),
    epoch: Schema.optional(Schema.String),
    filter: Schema.optional(Filter),
    onFailure: Schema.optional(Schema.Literal("halt", "park", "parkResource")),
    concurrency: Schema.optional(Schema.Int.pipe(Schema.between(1, maxAhead)))
  }).pipe(
    Schema.filter(({ handle, handleBatch }) =>
      (handle === undefined) !== (handleBatch === undefined) || "Expected either handle or handleBatch"
    )
  ),
  strict
)

const decodeReplayOptions = decodeInput(Schema.Struct({ ...common, handle: handler }), strict)

/** The handler with its timeout. An exception that it throws instead of returning an effect becomes a defect. */
const safeHandler = <A, E, R>(
  handle: (input: A) => Effect.Effect<unknown, E, R>,
  handlerTimeout: Duration.Duration | undefined
): (input: A) => Effect.Effect<unknown, E | HandlerTimeout, R> => {
  const safe = (input: A) => {
    try {
      return handle(input)
    } catch (thrown) {
      return Effect.die(thrown)
    }
  }
  return handlerTimeout === undefined ? safe : (input) =>
    Effect.timeoutFail(safe(input), {
      duration: handlerTimeout,
      onTimeout: () => new HandlerTimeout({ handlerTimeout })
    })
}

/** The handlers of a run. A handler of batches also handles single activities. */
const handlersOf = <E, R>(
  options: Options<E, R>,
  handlerTimeout: Duration.Duration | undefined
): Pick<Settings<E, R>, "handle" | "handleBatch" | "batchSize"> => {
  if (options.handleBatch === undefined) {
    return { handle: safeHandler(options.handle, handlerTimeout), handleBatch: undefined, batchSize: 1 }
  }
  const handleBatch = safeHandler(options.handleBatch, handlerTimeout)
  return {
    handle: (activity) => handleBatch([activity]),
    handleBatch,
    batchSize: options.batchSize ?? defaultBatchSize
  }
}

const defaultLease = Duration.seconds(10)
const defaultStop = Duration.seconds(5)

/** The settings that runs and replays share. */
export interface ReplaySettings<E, R> {
  readonly name: string
  readonly handle: (activity: Activity) => Effect.Effect<unknown, E | HandlerTimeout, R>
  readonly retry: Schedule.Schedule<unknown, Cause.Cause<unknown>, R>
  readonly transactional: boolean
  readonly leaseDuration: Duration.Duration
  readonly stopTimeout: Duration.Duration
}

/** The settings of a run. */
export interface Settings<E, R> extends ReplaySettings<E, R> {
  readonly filter: Filter
  readonly onFailure: "halt" | "park" | "parkResource"
  readonly concurrency: number
  /** Handles several activities, at most `batchSize`, if the consumer has such a handler. */
  readonly handleBatch:
    | ((activities: Arr.NonEmptyReadonlyArray<Activity>) => Effect.Effect<unknown, E | HandlerTimeout, R>)
    | undefined
  readonly batchSize: number
}

export const settingsOf = <E, R>(options: Options<E, R>): Effect.Effect<Settings<E, R>, ParseResult.ParseError> =>
  Effect.map(decodeOptions(options), (checked) => ({
    name: checked.name,
    filter: checked.filter ?? {},
    ...handlersOf(options, checked.handlerTimeout),
    retry: options.retry ?? untilExhausted,
    onFailure: checked.onFailure ?? "halt",
    transactional: checked.transactional ?? false,
    concurrency: checked.concurrency ?? 1,
    leaseDuration: checked.leaseDuration ?? defaultLease,
    stopTimeout: checked.stopTimeout ?? defaultStop
  }))

export const replaySettingsOf = <E, R>(
  options: ReplayOptions<E, R>
): Effect.Effect<ReplaySettings<E, R>, ParseResult.ParseError> =>
  Effect.map(decodeReplayOptions(options), (checked) => ({
    name: checked.name,
    handle: safeHandler(options.handle, checked.handlerTimeout),
    retry: options.retry ?? Schedule.stop,
    transactional: checked.transactional ?? false,
    leaseDuration: checked.leaseDuration ?? defaultLease,
    stopTimeout: checked.stopTimeout ?? defaultStop
  }))
