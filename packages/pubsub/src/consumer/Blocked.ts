import { type Activity, resourceKey } from "@caravel/domain"
import type { Resource } from "./ConsumerStore.js"

/**
 * The resources that have parked activities, as far as is known. Only who holds the lease parks, so what is not in here
 * has none; what is in here may have none any more, as others replay and drop.
 */
export class Blocked {
  private readonly keys: Set<string>

  constructor(resources: ReadonlyArray<Resource>) {
    this.keys = new Set(resources.map(resourceKey))
  }

  has(activity: Activity): boolean {
    return this.keys.size > 0 && this.keys.has(resourceKey(activity))
  }

  add(activity: Activity): void {
    this.keys.add(resourceKey(activity))
  }

  delete(activity: Activity): void {
    this.keys.delete(resourceKey(activity))
  }
}
