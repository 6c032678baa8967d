import { contestedSubdomain, type Drift, type Fold, type Position } from "@caravel/domain"

/**
 * Whether the journal gives one subdomain to several relays. Rows cannot have it twice, so at most one of these relays has the row
 * that it should have: only those that drifted are kept.
 */
export class Contests {
  private readonly report: (drift: Drift) => void
  /** By the subdomain that they should have. */
  private readonly awaiting = new Map<string, { readonly id: string; readonly position: Position }>()
  /** Relays of which a row's subdomain says nothing: they should have another one, or their events are not sound. */
  private readonly unsettled = new Set<string>()

  constructor(report: (drift: Drift) => void) {
    this.report = report
  }

  /** A relay that drifted, and its row. */
  add({ isSound, resourceId: id, row, setAt }: Fold, found: { readonly subdomain?: unknown } | undefined): void {
    if (!isSound) this.unsettled.add(id)
    if (!isSound || row === undefined || !("subdomain" in row) || found?.subdomain === row.subdomain) return
    this.unsettled.add(id)
    const { subdomain } = row
    const position = setAt("subdomain")
    if (this.awaiting.has(subdomain)) this.report(contestedSubdomain(id, subdomain, position))
    else this.awaiting.set(subdomain, { id, position })
  }

  /** The subdomains whose holders have to be looked up. */
  get subdomains(): ReadonlyArray<string> {
    return [...this.awaiting.keys()]
  }

  /** A relay that has one of these, and whether the journal knows it. */
  held(by: string, subdomain: string, isKnown: boolean): void {
    const contender = this.awaiting.get(subdomain)
    if (contender === undefined || !isKnown || this.unsettled.has(by)) return
    this.report(contestedSubdomain(contender.id, subdomain, contender.position))
  }
}
