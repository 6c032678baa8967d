/**
 * The activity feed as a response that does not end: server-sent events, or JSON lines. Each reader pulls from the
 * durable feed at its own pace, so a slow one delays nobody, loses nothing and keeps no more in memory than one chunk.
 */
import { type Activity, type Epoch, Journal, type Position } from "@caravel/domain"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Chunk, Context, type Duration, Effect, Exit, Mailbox, Schedule, Stream } from "effect"
import type * as Parameters from "../api/Parameters.js"
import * as Problem from "../api/Problem.js"
import * as ActivityJson from "./ActivityJson.js"
import { Drain } from "./Drain.js"
import * as Failure from "./Failure.js"
import * as Own from "./Own.js"

/**
 * The time between heartbeats, 15 seconds by default. Proxies close connections that are silent for longer, many after a
 * minute.
 *
 * @since 0.1.0
 * @category configuration
 */
export class Heartbeat extends Context.Reference<Heartbeat>()("@caravel/http/EventStream/Heartbeat", {
  defaultValue: (): Duration.DurationInput => "15 seconds"
}) {}

/** How long a client waits before it connects again, in milliseconds. */
const retry = 2000

/** How many activities are encoded at a time: what a reader that has stopped reading keeps in memory. */
const together = 64

/** A form of the stream. */
interface Format {
  readonly contentType: string
  readonly activity: (activity: Activity, epoch: Epoch) => string
  /** Why the stream ends. */
  readonly problem: (problem: unknown) => string
  readonly heartbeat: string
  /** Sent first, so that headers arrive before any activity: the head, unless the client knows where it continues. */
  readonly start: (head: Position | undefined, epoch: Epoch) => string
  /** Sent last, when the server shuts down. */
  readonly retry: string
}

// A client resumes after the last id that it has seen.
const events: Format = {
  contentType: "text/event-stream",
  activity: (activity, epoch) =>
    `id: ${epoch}:${activity.position}\nevent: ${activity.activityType}\ndata: ${ActivityJson.of(activity)}\n\n`,
  problem: (problem) => `event: problem\ndata: ${JSON.stringify(problem)}\n\n`,
  heartbeat: ":\n\n",
  // An id alone is not an event, but a client that loses its connection before the first one continues there.
  start: (head, epoch) => `${head === undefined ? "" : `id: ${epoch}:${head}\n`}retry: ${retry}\n\n`,
  retry: `retry: ${retry}\n\n`
}

// Readers of JSON lines ignore blank ones.
const lines: Format = {
  contentType: "application/x-ndjson",
  activity: (activity) => `${ActivityJson.of(activity)}\n`,
  problem: (problem) => `${JSON.stringify(problem)}\n`,
  heartbeat: "\n",
  start: () => "\n",
  retry: "\n"
}

const selects = ({ activityType, resourceId, resourceType, tenant }: typeof Parameters.Stream.Type) => {
  const types = activityType === undefined ? undefined : new Set(activityType)
  return (activity: Activity) =>
    (types?.has(activity.activityType) ?? true) && (tenant === undefined || tenant === activity.tenant) &&
    (resourceType === undefined || resourceType === activity.resourceType) &&
    (resourceId === undefined || resourceId === activity.resourceId)
}

const bytes = new TextEncoder()

/**
 * The stream of the activities that the parameters select: after `since`, or from now on.
 *
 * @since 0.1.0
 * @category responses
 */
export const response = Effect.fnUntraced(function*(
  accept: string,
  since: typeof Parameters.Since.Type | undefined,
  parameters: typeof Parameters.Stream.Type
) {
  const drain = yield* Drain
  const feed = yield* Own.feed
  const revoked = yield* Own.revoked
  const journal = yield* Journal
  const epoch = yield* journal.epoch
  const heartbeat = yield* Heartbeat
  const format = accept.includes(lines.contentType) ? lines : events

  const isSelected = selects(parameters)
  const { epoch: from, position } = since ?? { epoch, position: yield* journal.head }
  const texts = Stream.unwrapScoped(Effect.gen(function*() {
    // Merging streams takes two new fibers for each element, which was most of the time with a thousand readers.
    const mailbox = yield* Mailbox.make<string>(1)
    const offer = (activities: Chunk.Chunk<Activity>) => {
      const selected = Chunk.filter(activities, isSelected)
      const text = Chunk.join(Chunk.map(selected, (activity) => format.activity(activity, epoch)), "")
      return text === "" ? Effect.void : mailbox.offer(text)
    }
    const reading = feed.since(position, { epoch: from }).pipe(
      Stream.runForEachChunk((chunk) => Effect.forEach(Chunk.chunksOf(chunk, together), offer, { discard: true })),
      Effect.catchAll((error) =>
        // The position was validated with the request.
        error._tag === "ParseError"
          ? Effect.die(error)
          : Effect.zipRight(Failure.reported(error), mailbox.offer(format.problem(Problem.encode(error))))
      )
    )
    // Not within the feed: a reader that has stopped reading must not keep what it has not been sent.
    yield* Effect.raceFirst(reading, Effect.raceFirst(drain.begun, revoked)).pipe(
      Effect.onExit((exit) => mailbox.done(Exit.asVoid(exit))),
      Effect.forkScoped
    )
    yield* Effect.forkScoped(Effect.schedule(mailbox.offer(format.heartbeat), Schedule.spaced(heartbeat)))
    return Mailbox.toStream(mailbox)
  }))
  const body = Stream.make(format.start(since === undefined ? position : undefined, epoch)).pipe(
    Stream.concat(texts),
    Stream.concat(Stream.make(format.retry))
  )
  return HttpServerResponse.stream(Stream.map(body, (text) => bytes.encode(text)), {
    contentType: format.contentType,
    headers: { "cache-control": "no-cache, no-transform", "x-accel-buffering": "no" }
  })
})
