import type { Activity } from "@caravel/domain"
import { resourceKey } from "@caravel/domain/adapter"
import type { Resource } from "./Parking.js"

/**
 * The resources that may have parked activities. A resource that is missing here has none, as only the holder of the
 * lease parks. A resource that is here may have none left, as other processes replay and drop parked activities.
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
