/** What the steps of a program share. */
import { Cause, Effect } from "effect"
import type { Faults } from "./Faults.js"
import type { History } from "./History.js"
import type { Observer } from "./Observer.js"
import { mayFail, type Program } from "./Program.js"
import type { SimulatedHost } from "./SimulatedHost.js"
import type { Node, Services } from "./World.js"

/** The parts of a simulation. */
export interface Parts {
  readonly program: Program
  readonly host: SimulatedHost
  readonly faults: Faults
  readonly history: History
  readonly nodes: ReadonlyArray<Node>
  readonly observer: Observer
  /** The database's file, if it has one. */
  readonly filename: string | undefined
  /** The start of the correlation ids of commands. */
  readonly mark: string
}

/** The steps of one kind, which run against open nodes. */
export class Steps {
  readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  node(index: number): Node {
    return this.parts.nodes[index % this.parts.nodes.length]!
  }

  /** Waits until a node is open. */
  whenOpen<A, E>(index: number, use: (services: Services, node: Node) => Effect.Effect<A, E>): Effect.Effect<void, E> {
    const node = this.node(index)
    return Effect.suspend((): Effect.Effect<void, E> =>
      node.services === undefined
        ? Effect.zipRight(Effect.sleep(10), this.whenOpen(index, use))
        : Effect.asVoid(use(node.services, node))
    )
  }

  /** Whether a failure may be caused by the storage, if that `mayFail`, or by a restore of the database. */
  isExpected(cause: Cause.Cause<unknown>, mayFail = this.mayFail): boolean {
    if (Cause.isDie(cause)) return false
    const error = Cause.squash(cause)
    const { isRestored } = this.parts.history
    return isStorageError(error) ? mayFail || isRestored : isRestored && tagOf(error) === "PositionFromOtherEpoch"
  }

  /** Whether writes may fail: there are faults, or another process may hold the lock for long. */
  get mayFail(): boolean {
    return mayFail(this.parts.program)
  }

  /** Secrets must not be in what callers see. */
  see(what: string, value: unknown): void {
    this.parts.history.logs.push(`${what}: ${Cause.isCause(value) ? Cause.pretty(value) : ""} ${textOf(value)}`)
  }
}

/** How long it may take until everything works again, or has ended, in milliseconds of simulated time. */
export const recovery = 60_000

/** Waits while something holds, for at most as long as a recovery may take. */
export const waitWhile = (holds: () => boolean): Effect.Effect<unknown> =>
  Effect.iterate(0, {
    while: (millis) => millis < recovery && holds(),
    body: (millis) => Effect.as(Effect.sleep(100), millis + 100)
  })

/** Any typed error. */
export interface Tagged {
  readonly _tag: string
}

/** The tag of an error, if it has one. */
export const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : ""

/** Whether the storage, or a statement, has failed. */
export const isStorageError = (error: unknown) => tagOf(error) === "StorageError" || tagOf(error) === "SqlError"

const textOf = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return String(value)
  }
}
