import { type Activity, resourceKey } from "@caravel/domain"
import type { Resource } from "./Parking.js"

/**
 * The resources that may have parked activities. Only the holder of the lease parks, so a resource that is not in here has none. One
 * that is in here may have none any more, as other processes replay and drop what is parked.
 */
export class BlockedResources {
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
