import type { Activity } from "@caravel/domain"
import type { Resource } from "../CheckpointStore.js"

/** One name for a resource: a tenant's pubkey may also be a relay's id. */
export const keyOf = (resource: Resource): string => `${resource.resourceType} ${resource.resourceId}`

/**
 * The resources that have parked activities, as far as is known. Only who holds the lease parks, so what is not in here
 * has none; what is in here may have none any more, as others replay and drop.
 */
export class Blocked {
  private readonly keys: Set<string>

  constructor(resources: ReadonlyArray<Resource>) {
    this.keys = new Set(resources.map(keyOf))
  }

  has(activity: Activity): boolean {
    return this.keys.size > 0 && this.keys.has(keyOf(activity))
  }

  add(activity: Activity): void {
    this.keys.add(keyOf(activity))
  }

  delete(activity: Activity): void {
    this.keys.delete(keyOf(activity))
  }
}
