import { type Activity, Position } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { Effect } from "effect"
import { type Ended, indexAfter, type Window } from "./Window.js"

/** The number of activities that are read from the journal at a time. Catching up is a third faster than with 256. */
export const pageSize = 1024

/** All activities after `start`, up to and including `upTo`. */
export interface Page {
  readonly activities: ReadonlyArray<Activity>
  readonly start: Position
  readonly upTo: Position
  /** Whether it begins and ends at multiples of the page size, so that other subscriptions may hold it too. */
  readonly isWhole: boolean
}

/** Where subscriptions that lag find pages of the journal. */
export interface Pages {
  /** The subscriptions that have not been closed. */
  readonly open: Set<Subscription>
  /** Passes on a page with the activities after a position, which may begin before it and ends at `upTo` or before it. */
  readonly load: (
    after: Position,
    upTo: Position,
    hold: (page: Page) => void
  ) => Effect.Effect<void, Ended>
}

const empty: Page = { activities: [], start: Position.make(0), upTo: Position.make(0), isWhole: false }

/**
 * A reader's place in the activity log. A subscription takes from the shared window while it keeps up, and otherwise
 * reads the journal page by page. It therefore holds at most a page or what is taken at once, misses nothing, and never
 * delays the tail or other readers.
 */
export class Subscription {
  /** Activities that were read from the journal. Those before `next` have been taken. */
  page: Page = empty
  private next = 0
  /** The position up to which the journal has been read. */
  private position: Position
  private closed = false
  /** The number of activities that were broadcast before the subscription began, plus those taken since. */
  private accounted: number
  private readonly waiting = new Set<() => void>()
  private whenEnded: (() => void) | undefined
  private readonly loading = Effect.unsafeMakeSemaphore(1)
  private readonly window: Window
  private readonly pages: Pages

  constructor(window: Window, pages: Pages, position: Position) {
    this.window = window
    this.pages = pages
    this.position = position
    pages.open.add(this)
    this.accounted = window.published
    window.listeners.add(this.wake)
  }

  /** Closes the subscription. Waiting and later takes are interrupted. */
  close(): void {
    this.closed = true
    this.pages.open.delete(this)
    this.window.listeners.delete(this.wake)
    this.wake()
  }

  get isClosed(): boolean {
    return this.closed
  }

  /** Whether broadcasting has ended. Activities that the window holds can still be taken. */
  get isLast(): boolean {
    return this.window.failure !== undefined
  }

  /** Registers a callback that runs once, when broadcasting has ended and nothing is left to take. */
  onEnd(whenEnded: () => void): void {
    this.whenEnded = whenEnded
    this.checkEnd()
  }

  /** The number of activities that wait to be taken, for a subscription that began live. */
  get pending(): number {
    return this.window.published - this.accounted
  }

  /**
   * Takes at most `max` activities, and waits until there are `min`. If the caller is interrupted or the journal cannot
   * be read, nothing is taken, and the next caller receives the same activities.
   */
  take(min: number, max: number): Effect.Effect<Array<Activity>, Ended> {
    return this.takeOnce(() => min, max)
  }

  /** Takes those that are pending, at most `max`. Another fiber may take some of them while their pages are read. */
  takePending(max: number): Effect.Effect<Array<Activity>, Ended> {
    return Effect.suspend(() => {
      const { pending } = this
      return this.takeOnce(() => Math.min(max, pending, this.pending), max)
    })
  }

  private takeOnce(min: () => number, max: number): Effect.Effect<Array<Activity>, Ended> {
    return Effect.uninterruptibleMask((restore) => {
      const attempt: Effect.Effect<Array<Activity>, Ended> = Effect.suspend(() =>
        this.closed
          ? Effect.interrupt
          : this.available >= min()
          ? Effect.succeed(this.unsafeTake(max))
          : this.window.failure !== undefined
          ? Effect.fail(this.window.failure)
          : Effect.zipRight(restore(this.more(min)), attempt)
      )
      return attempt
    })
  }

  private get available(): number {
    return this.left + (this.window.covers(this.position) ? this.window.count(this.position) : 0)
  }

  /** The number of activities of the page that have not been taken. */
  private get left(): number {
    return this.page.activities.length - this.next
  }

  private unsafeTake(max: number): Array<Activity> {
    const taken = this.page.activities.slice(this.next, this.next + max)
    this.next += taken.length
    if (this.left === 0) this.hold(empty)
    if (this.left === 0 && this.window.covers(this.position)) {
      for (const activity of this.window.after(this.position, max - taken.length)) {
        taken.push(activity)
        this.position = activity.position
      }
    }
    this.accounted += taken.length
    this.checkEnd()
    return taken
  }

  private hold(page: Page, next = 0): void {
    this.page = page
    this.next = next
  }

  /** Holds a page in addition to what has not been taken. */
  private readonly add = (page: Page) => {
    const next = indexAfter(page.activities, this.position)
    this.position = page.upTo
    if (this.left === 0) return this.hold(page, next)
    const activities = this.page.activities.slice(this.next).concat(page.activities.slice(next))
    this.hold({ ...page, activities, isWhole: false })
  }

  private checkEnd(): void {
    if (this.whenEnded === undefined || !this.isLast || this.available > 0) return
    const { whenEnded } = this
    this.whenEnded = undefined
    whenEnded()
  }

  /** Reads the next page of the journal or, once the window covers the rest, waits for the next broadcast. */
  private more(min: () => number): Effect.Effect<void, Ended> {
    return Effect.suspend(() => this.window.covers(this.position) ? this.wait(min) : this.load(min))
  }

  /** Timers and sockets have their turn before each page: on a storage in the process, catching up never waits. */
  private load(min: () => number): Effect.Effect<void, Ended> {
    const page = Effect.suspend(() =>
      this.available >= min() || this.window.covers(this.position)
        ? Effect.void
        : this.pages.load(this.position, this.window.floor, this.add)
    )
    return this.loading.withPermits(1)(Effect.zipRight(nextTurn, page))
  }

  private wait(min: () => number): Effect.Effect<void> {
    return Effect.async((resume) => {
      const waiter = () => resume(Effect.void)
      const { failure } = this.window
      if (this.closed || failure || this.available >= min() || !this.window.covers(this.position)) return waiter()
      this.waiting.add(waiter)
      return Effect.sync(() => this.waiting.delete(waiter))
    })
  }

  private readonly wake = () => {
    for (const waiter of this.waiting) waiter()
    this.waiting.clear()
    this.checkEnd()
  }
}
