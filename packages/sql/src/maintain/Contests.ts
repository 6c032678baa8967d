import type { Drift, Position } from "@caravel/domain"
import { contestedSubdomain, type ResourceVerifier } from "@caravel/domain/adapter"

/**
 * Finds subdomains that the journal assigns to several relays. Rows cannot share a subdomain, so at most one of these
 * relays has the row that it should have. Hence only relays that drifted are remembered.
 */
export class Contests {
  private readonly report: (drift: Drift) => void
  /** Relays that do not have the subdomain that they should have, by that subdomain. */
  private readonly awaiting = new Map<string, { readonly id: string; readonly position: Position }>()
  /** Relays whose stored subdomain is ignored: the journal assigns them another one, or their events are damaged. */
  private readonly unsettled = new Set<string>()

  constructor(report: (drift: Drift) => void) {
    this.report = report
  }

  /** Adds a relay that drifted, with its row. */
  add(
    { isSound, resourceId: id, row, setAt }: ResourceVerifier,
    found: { readonly subdomain?: unknown } | undefined
  ): void {
    if (!isSound) this.unsettled.add(id)
    if (!isSound || row === undefined || !("subdomain" in row) || found?.subdomain === row.subdomain) return
    this.unsettled.add(id)
    const { subdomain } = row
    const position = setAt("subdomain")
    if (this.awaiting.has(subdomain)) this.report(contestedSubdomain(id, subdomain, position))
    else this.awaiting.set(subdomain, { id, position })
  }

  /** The subdomains whose relays have to be looked up. */
  get subdomains(): ReadonlyArray<string> {
    return [...this.awaiting.keys()]
  }

  /** Adds a relay whose row has one of these subdomains. It is ignored unless the journal has events of it. */
  held(by: string, subdomain: string, isKnown: boolean): void {
    const contender = this.awaiting.get(subdomain)
    if (contender === undefined || !isKnown || this.unsettled.has(by)) return
    this.report(contestedSubdomain(contender.id, subdomain, contender.position))
  }
}
