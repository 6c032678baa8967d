import type { Drift, Position, ResourceType } from "@caravel/domain"
import { activityTypeOf, NewerEvent, ResourceVerifier } from "@caravel/domain/adapter"
import { Either } from "effect"
import type * as Tables from "../schema/Tables.js"
import { fieldOf } from "./DamagedRows.js"

/** The table `caravel_event`. */
export type EventTable = ReturnType<typeof Tables.make>["event"]

/**
 * Folds stored events by resource, and finds those that cannot be decoded or have a wrong activity type. Events are
 * added resource by resource, in the order of their versions.
 */
export class EventCheck {
  private readonly event: EventTable
  private readonly report: (drift: Drift) => void
  private current: ResourceVerifier | undefined
  private finished: Array<ResourceVerifier> = []

  constructor(event: EventTable, report: (drift: Drift) => void) {
    this.event = event
    this.report = report
  }

  /** Adds the row of an event. Returns the error if a newer Caravel has written it. */
  add(row: ReadonlyArray<any>, resourceType: ResourceType): NewerEvent | undefined {
    const { at, decodeRow } = this.event
    const position: Position = row[at.position]
    const resource = this.resourceOf(resourceType, row[at.resourceId])
    const decoded = decodeRow(row)
    if (Either.isLeft(decoded)) {
      if (decoded.left instanceof NewerEvent) return decoded.left
      resource.addUnreadable({ position, version: row[at.resourceVersion], field: fieldOf(decoded.left) })
      return undefined
    }
    const activityType = activityTypeOf(decoded.right._tag)
    const found = row[at.activityType]
    resource.add(decoded.right)
    if (found !== activityType) resource.inconsistent(position, "activityType", activityType, found)
    return undefined
  }

  /** Ends the last resource. */
  end(): void {
    if (this.current !== undefined) this.finished.push(this.current)
    this.current = undefined
  }

  /** Returns the resources that have ended since the last call. */
  take(): ReadonlyArray<ResourceVerifier> {
    return this.finished.splice(0)
  }

  private resourceOf(resourceType: ResourceType, resourceId: string): ResourceVerifier {
    const { current } = this
    if (current?.resourceId === resourceId && current.resourceType === resourceType) return current
    this.end()
    return this.current = new ResourceVerifier(resourceType, resourceId, this.report)
  }
}
