/** Consumers as parts of a program: they are restarted if that can help, and the program continues if they end. */
import { StorageError, type StorageErrorReason } from "@caravel/domain"
import { Cause, Deferred, Effect, Exit, FiberId, Option } from "effect"
import * as Backoff from "../runtime/Backoff.js"
import { retryWhile } from "../runtime/Waiting.js"
import type { ConsumerContext } from "./ConsumerContext.js"
import { metricsOf } from "./ConsumerMetrics.js"
import type { RunError } from "./ConsumerModel.js"
import { reportLag } from "./LagReport.js"

export class Supervision {
  private readonly context: ConsumerContext
  /** The consumers that have ended. */
  private readonly ended = new Map<string, Cause.Cause<RunError>>()
  private readonly fatalEnd = Deferred.unsafeMake<never, RunError>(FiberId.none)

  constructor(context: ConsumerContext) {
    this.context = context
  }

  /** Fails with the reason if a consumer has ended. */
  readonly ready: Effect.Effect<void, RunError> = Effect.suspend(() => {
    const [first] = this.ended.values()
    return first === undefined ? Effect.void : Effect.failCause(first)
  })

  /** Waits until a fatal consumer has ended, and fails with the reason. */
  readonly fatal: Effect.Effect<never, RunError> = Deferred.await(this.fatalEnd)

  /** Runs a consumer, and restarts it after storage errors that may pass. Once it has ended, reports its lag. */
  supervise<R>(name: string, fatal: boolean, run: Effect.Effect<never, RunError, R>): Effect.Effect<never, never, R> {
    const restarted = retryWhile(mayPass, Backoff.untilAvailable)(
      Effect.tapError(run, (error) =>
        mayPass(error)
          ? Effect.logWarning(`Consumer ${name} was ended by a storage error, and is restarted. ${error.message}`)
          : Effect.void)
    )
    const end = (cause: Cause.Cause<RunError>) =>
      Effect.suspend(() => {
        this.ended.set(name, cause)
        if (fatal) Deferred.unsafeDone(this.fatalEnd, Exit.failCause(cause))
        // The failure of the handler has already been logged.
        return isHalted(cause)
          ? Effect.void
          : Effect.logError(`Consumer ${name} has ended, and the program continues without it`, cause)
      })
    const reporting = reportLag(this.context, metricsOf(name), this.context.find(name))
    return Effect.sandbox(restarted).pipe(
      Effect.catchAll(end),
      Effect.zipRight(reporting),
      Effect.ensuring(Effect.sync(() => this.ended.delete(name)))
    )
  }
}

const isHalted = (cause: Cause.Cause<RunError>) =>
  Option.exists(Cause.failureOption(cause), ({ _tag }) => _tag === "ConsumerHalted")

/** Whether a storage error may pass while the database stays open. */
const mayPass = (error: RunError): error is StorageError => error instanceof StorageError && passing.has(error.reason)

const passing: ReadonlySet<StorageErrorReason> = new Set<StorageErrorReason>(["full", "readonly", "other"])
