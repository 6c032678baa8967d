/**
 * Spans of consumers. A run has none, as it never ends. Each handler has one, and so has what happens to the consumer,
 * such as parking; both are linked to the spans of the commands that caused the activities.
 */
import type { Activity, Journal } from "@caravel/domain"
import { isTraced, withSpan } from "@caravel/domain/adapter"
import { Effect, Tracer } from "effect"

export class ConsumerSpans {
  private readonly links = new WeakMap<Activity, Tracer.SpanLink>()
  private readonly consumer: string
  private readonly journal: typeof Journal.Service
  private readonly isTraced: boolean

  private constructor(consumer: string, journal: typeof Journal.Service, isTraced: boolean) {
    this.consumer = consumer
    this.journal = journal
    this.isTraced = isTraced
  }

  static readonly make = (consumer: string, journal: typeof Journal.Service): Effect.Effect<ConsumerSpans> =>
    Effect.withFiberRuntime((fiber) => Effect.succeed(new ConsumerSpans(consumer, journal, isTraced(fiber))))

  /** Reads the spans of the commands that caused these activities. If the journal cannot be read, links are missing. */
  load(activities: ReadonlyArray<Activity>): Effect.Effect<void> {
    if (!this.isTraced || activities.length === 0) return Effect.void
    return this.journal.at(activities.map(({ position }) => position)).pipe(
      Effect.map((events) => {
        const metadata = new Map(events.map(({ metadata, position }) => [position, metadata]))
        for (const activity of activities) {
          const { spanId, traceId } = metadata.get(activity.position) ?? {}
          if (spanId === undefined || traceId === undefined) continue
          const span = Tracer.externalSpan({ spanId, traceId, sampled: true })
          this.links.set(activity, { _tag: "SpanLink", span, attributes: {} })
        }
      }),
      Effect.catchTag("StorageError", () => Effect.void)
    )
  }

  /** The handler with a span. Without a tracer it is the handler itself, so that it costs nothing. */
  readonly handler = <A extends Activity | ReadonlyArray<Activity>, E, R>(
    handle: (input: A) => Effect.Effect<unknown, E, R>
  ): (input: A) => Effect.Effect<unknown, E, R> =>
    this.isTraced
      ? (input) => this.around("handle", "position" in input ? [input] : input)(handle(input))
      : handle

  /** Runs an effect in a span. */
  readonly around = (name: string, activities: ReadonlyArray<Activity> = []) =>
    withSpan(`Consumer.${name}`, {
      kind: "consumer",
      root: true,
      links: activities.flatMap((activity) => this.links.get(activity) ?? []),
      attributes: {
        "messaging.system": "caravel",
        "messaging.consumer.group.name": this.consumer,
        ...(name === "handle" && { "messaging.operation.type": "process" }),
        ...(activities.length > 0 && { "caravel.position": activities[0]!.position }),
        ...(activities.length === 1 && { "messaging.message.id": activities[0]!.id }),
        ...(activities.length > 1 && { "messaging.batch.message_count": activities.length })
      }
    })
}
