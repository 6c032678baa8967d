import type { StorageError } from "@caravel/domain"
import type { Exit } from "effect"
import { longestWait, type Patience } from "../statement/Patience.js"

/** What waits for the storage, since an instant of `performance.now()`. */
interface Waiter {
  readonly since: number
  readonly settle: (failure: Exit.Exit<never, StorageError>) => void
}

/** Whether the storage makes progress, and how long waiters are patient if it does not. */
export class StorageProgress {
  /** When the storage last made progress: it decided a batch, or another process wrote. */
  private madeAt = -Infinity
  /** The failure of the last attempt since then, if it failed. */
  private failure: Exit.Exit<never, StorageError> | undefined

  made(): void {
    this.madeAt = performance.now()
    this.failure = undefined
  }

  stuck(failure: Exit.Exit<never, StorageError>): void {
    this.failure = failure
  }

  patienceOf({ since }: Waiter): Patience {
    return { remaining: () => Math.max(since, this.madeAt) + longestWait - performance.now() }
  }

  /**
   * Settles a waiter that has waited long enough while the storage is stuck, without an attempt of its own. Returns
   * whether it did.
   */
  settleIfStuck(waiter: Waiter): boolean {
    if (this.failure === undefined || this.patienceOf(waiter).remaining() > 0) return false
    waiter.settle(this.failure)
    return true
  }
}
