import type { Activity, ResourceType } from "@caravel/domain"
import type { Resource } from "./Parking.js"

/**
 * The resources that may have parked activities. A resource that is missing here has none, as only the holder of the
 * lease parks. A resource that is here may have none left, as other processes replay and drop parked activities.
 */
export class BlockedResources {
  private readonly ids: { readonly [type in ResourceType]: Set<string> } = { tenant: new Set(), relay: new Set() }

  constructor(resources: ReadonlyArray<Resource>) {
    for (const resource of resources) this.add(resource)
  }

  /** Called for every activity, so it must be cheap. */
  has({ resourceId, resourceType }: Activity): boolean {
    const ids = this.ids[resourceType]
    return ids.size > 0 && ids.has(resourceId)
  }

  add({ resourceId, resourceType }: Resource): void {
    this.ids[resourceType].add(resourceId)
  }

  delete({ resourceId, resourceType }: Resource): void {
    this.ids[resourceType].delete(resourceId)
  }
}
