/** Requests to a host under load. Each must be answered, and a live stream must have every position. */
import { Data, Effect, Random } from "effect"
import type { DurationInput } from "effect/Duration"
import { get } from "node:http"
import { relays } from "./Load.js"

/** An answer of the host is not what it should be. */
class WrongAnswer extends Data.TaggedError("WrongAnswer")<{ readonly message: string }> {}

/** What the load waits for. */
export interface Seen {
  /** A request was answered. */
  readonly answer: () => void
  /** A live stream had an activity. */
  readonly activity: () => void
}

/** How long an answer, or an activity in a stream, may take under load. */
const patience = "1 minute"

/** How long a live stream is read before it is ended and begun again. */
const streaming = "5 seconds"

/** Effect 3.22 does not interrupt what is within its own timeouts if another effect of `Effect.all` fails. */
const within =
  <A2, E2>(duration: DurationInput, onTimeout: Effect.Effect<A2, E2>) => <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.raceFirst(effect, Effect.zipRight(Effect.sleep(duration), onTimeout))

/** Sends a request, and succeeds once its answer has ended. `onText` returns what is wrong with a part of the answer. */
const request = (url: string, onText: (text: string) => string | undefined) =>
  Effect.async<void, WrongAnswer>((resume) => {
    const fail = (why: string) => {
      resume(new WrongAnswer({ message: `${url}: ${why}` }))
      sent.destroy()
    }
    const sent = get(url, (response) => {
      if (response.statusCode !== 200) return fail(`the status is ${response.statusCode}`)
      response.setEncoding("utf8")
      response.on("data", (text: string) => {
        const wrong = onText(text)
        if (wrong !== undefined) fail(wrong)
      })
      response.on("close", () => response.complete ? resume(Effect.void) : fail("the answer breaks off"))
    })
    sent.on("error", (error) => fail(String(error)))
    return Effect.sync(() => sent.destroy())
  })

/** Reads a relay. */
const reading = (url: string, n: number) =>
  Effect.suspend(() => {
    let body = ""
    return request(`${url}/v1/relays/r${n}`, (text) => void (body += text)).pipe(
      within(patience, new WrongAnswer({ message: `relay r${n} is not answered within ${patience}` })),
      Effect.filterOrFail(
        () => JSON.parse(body).id === `r${n}`,
        () => new WrongAnswer({ message: `relay r${n} is answered by ${body}` })
      )
    )
  })

/**
 * Returns a function that reads a live stream of server-sent events, part by part, and returns what is wrong with it: the
 * first event has the head, and each other one the next position. All commands of the load log an activity.
 */
export const consecutive = (onActivity: () => void) => {
  let [last, rest] = [undefined as number | undefined, ""]
  return (text: string): string | undefined => {
    const lines = (rest + text).split("\n")
    rest = lines.pop()!
    for (const line of lines) {
      if (line === "event: problem") return `the stream has a problem: ${lines.join(" ")}`
      const position = /^id: .*:(\d+)$/.exec(line)?.[1]
      if (position === undefined) continue
      if (last !== undefined) {
        if (Number(position) !== last + 1) return `position ${position} comes after ${last}`
        onActivity()
      }
      last = Number(position)
    }
    return undefined
  }
}

/** Reads a live stream for a while. */
const following = (url: string, onActivity: () => void) =>
  Effect.suspend(() => request(`${url}/v1/activity/stream`, consecutive(onActivity))).pipe(
    Effect.zipRight(new WrongAnswer({ message: "a live stream has ended" })),
    within(streaming, Effect.void)
  )

/** Requests to the host: reads, and a live stream that is ended and begun again. Fails if an answer is wrong. */
export const requesting = (url: string, seen: Seen): Effect.Effect<void, WrongAnswer> => {
  const reads = Random.nextIntBetween(0, relays).pipe(
    Effect.flatMap((n) => reading(url, n)),
    Effect.tap(() => Effect.sync(seen.answer)),
    Effect.zipRight(Effect.sleep("20 millis")),
    Effect.forever
  )
  const streams = Effect.forever(following(url, seen.activity))
  return Effect.all([reads, reads, streams, streams], { concurrency: "unbounded", discard: true })
}
