/** The programs of the simulation, as plain data, and their generation from a seed. */
import type { Effect as FaultEffect, Fault, Point } from "./Faults.js"
import { Prng } from "./Prng.js"
import type { Order } from "./SimulatedHost.js"

/** A command as plain data, with its tag. */
export interface CommandData {
  readonly _tag: string
  readonly [field: string]: unknown
}

/** How a step is stopped from outside: after a number of tasks of the whole simulation, or after a time. */
export interface Stop {
  readonly interruptAfter?: number | undefined
  readonly timeout?: number | undefined
}

/** Commands that are sent together: one by its method's way, or a list. */
export interface Submit extends Stop {
  readonly _tag: "Submit"
  readonly node: number
  readonly commands: ReadonlyArray<CommandData>
  readonly expected?: number | undefined
  /** Retried with the same key until there is an answer, at most `attempts` times. */
  readonly key?: string | undefined
  readonly attempts?: number | undefined
}

/** A caller's transaction. Its steps run one after another, or all at once. */
export interface Transaction extends Stop {
  readonly _tag: "Transaction"
  readonly node: number
  readonly steps: ReadonlyArray<Step>
  readonly concurrent: boolean
  /** Whether its work fails at the end. */
  readonly fails: boolean
}

export type Step =
  | Submit
  | Transaction
  /** Steps that run at once. */
  | { readonly _tag: "Together"; readonly steps: ReadonlyArray<Step> }
  /** A write of the caller's own. */
  | { readonly _tag: "Note"; readonly node: number; readonly text: string }
  | { readonly _tag: "Sleep"; readonly millis: number }
  /** Subscribes to live activities, for a time or to the end. It takes one activity per `pause`. */
  | { readonly _tag: "Subscribe"; readonly node: number; readonly millis: number | null; readonly pause: number }
  /** Reads a feed from a position, for a time or to the end. */
  | {
    readonly _tag: "Follow"
    readonly node: number
    /** A fraction of the head, or none for a live feed. */
    readonly from: number | null
    readonly millis: number | null
    readonly pause: number
  }
  /** Runs a consumer for a time. */
  | { readonly _tag: "Consume"; readonly node: number; readonly consumer: number; readonly millis: number }
  | { readonly _tag: "HandleOnce"; readonly node: number; readonly consumer: number }
  | { readonly _tag: "Replay"; readonly node: number; readonly consumer: number; readonly requested: boolean }
  | { readonly _tag: "Reset"; readonly node: number; readonly consumer: number; readonly to: number }
  | { readonly _tag: "AwaitPosition"; readonly node: number; readonly consumer: number }
  /** Closes a node and opens it again. */
  | { readonly _tag: "Restart"; readonly node: number; readonly millis: number }
  | { readonly _tag: "Suspend"; readonly node: number; readonly millis: number }
  | { readonly _tag: "JumpClock"; readonly millis: number }
  | { readonly _tag: "Verify"; readonly node: number }
  | { readonly _tag: "Backup"; readonly node: number }

/** A consumer, and how its handler behaves while faults are injected. */
export interface ConsumerData {
  readonly from: "beginning" | "now"
  readonly transactional: boolean
  readonly concurrency: number
  readonly onFailure: "halt" | "park" | "parkResource"
  readonly batchSize: number | null
  readonly activityType: ReadonlyArray<string> | null
  readonly leaseMillis: number
  readonly stopMillis: number
  readonly timeoutMillis: number | null
  readonly retries: number
  /** Whether the handler sends commands of its own. */
  readonly sends: boolean
  /** The probabilities that an attempt fails, dies, takes long, or hangs until it is interrupted. */
  readonly fails: number
  readonly dies: number
  readonly slow: number
  readonly hangs: number
  /** Activities at positions that this divides always fail; none if it is 0. */
  readonly poison: number
}

/** What happens after the program: a backup is made, callers go on, and after a time the database is restored. */
export interface RestorationData {
  readonly callers: ReadonlyArray<ReadonlyArray<Step>>
  readonly millis: number
  /** How many commands a new process sends after the restore. */
  readonly more: number
}

export interface Program {
  readonly adapter: "memory" | "sqlite"
  /** The seed of the scheduler. */
  readonly seed: number
  readonly order: Order
  readonly preemption: number
  readonly nodes: number
  /** Whether the journal is longer than what a tail remembers from its start. */
  readonly isLong: boolean
  /** Whether the storage of consumers answers late. In memory only: a file answers at once. */
  readonly isLate: boolean
  readonly consumers: ReadonlyArray<ConsumerData>
  /** Steps of concurrent callers. */
  readonly callers: ReadonlyArray<ReadonlyArray<Step>>
  readonly faults: ReadonlyArray<Fault>
  readonly restoration: RestorationData | null
}

/** Whether the storage may refuse a write: there are faults, or another process may hold the lock for long. */
export const mayFail = ({ callers, faults, nodes }: Program): boolean =>
  faults.length > 0 || nodes > 1 || JSON.stringify(callers).includes("\"Suspend\"")

/** The start of every secret: it must never be seen outside of the place for secrets. */
export const secretMark = "5ec2e75ec2e7"

const pubkeys = ["a", "b", "c"].map((letter) => letter.repeat(64))
const relayIds = ["one", "two", "three", "four"]
const subdomains = ["north", "south", "east"]

/** The program of a seed. */
export const generate = (seed: number, adapter: Program["adapter"]): Program => new Generator(seed, adapter).program()

class Generator {
  private readonly prng: Prng
  private readonly adapter: Program["adapter"]
  private readonly nodes: number
  private count = 0
  private consumers: ReadonlyArray<ConsumerData> = []

  constructor(seed: number, adapter: Program["adapter"]) {
    this.prng = new Prng(seed * 2 + (adapter === "sqlite" ? 1 : 0))
    this.adapter = adapter
    this.nodes = adapter === "sqlite" && this.prng.chance(0.45) ? 2 : 1
  }

  program(): Program {
    const { adapter, nodes, prng } = this
    this.consumers = this.times(prng.pick([0, 1, 1, 2]), () => this.consumer())
    const program: Program = {
      adapter,
      seed: prng.fork(),
      order: prng.pick(["fifo", "mixed", "random", "random", "lifo"]),
      preemption: prng.pick([0, 0, 4, 20, 100]),
      nodes,
      isLong: prng.chance(0.15),
      consumers: this.consumers,
      callers: [
        this.beginning(),
        ...this.times(prng.between(1, 4), () => this.steps(prng.between(2, 9))),
        ...(nodes > 1 && this.consumers.length > 0 && prng.chance(0.4) ? [this.contest()] : [])
      ],
      faults: adapter === "memory" || prng.chance(0.3) ? [] : this.times(prng.between(1, 5), () => this.fault()),
      restoration: adapter === "sqlite" && prng.chance(0.3) ? this.restoration() : null,
      isLate: adapter === "memory" && prng.chance(0.6)
    }
    // Late answers matter most to workers of which some park and others go on.
    return program.isLate && prng.chance(0.7)
      ? { ...program, consumers: program.consumers.map((consumer) => this.parking(consumer)) }
      : program
  }

  private parking(consumer: ConsumerData): ConsumerData {
    const { prng } = this
    return {
      ...consumer,
      transactional: false,
      concurrency: prng.pick([2, 4]),
      onFailure: "parkResource",
      slow: 0.7,
      poison: prng.pick([2, 3, 5])
    }
  }

  private restoration(): RestorationData {
    const { prng } = this
    // A process that is opened after the restore may write, and other steps say nothing new here.
    const isLeftOut = ({ _tag }: Step) => ["Backup", "JumpClock", "Restart", "Verify"].includes(_tag)
    return {
      callers: this.times(prng.between(1, 3), () => this.steps(prng.between(2, 6)).filter((step) => !isLeftOut(step))),
      millis: prng.pick([0, 0, 1, 10, 100, 1000]),
      more: prng.pick([0, 1, 4, 12])
    }
  }

  private times<A>(count: number, make: () => A): ReadonlyArray<A> {
    return Array.from({ length: count }, make)
  }

  private steps(count: number): ReadonlyArray<Step> {
    return this.times(count, () => this.step())
  }

  private node(): number {
    return this.prng.below(this.nodes)
  }

  /** Makes it likely that later commands find something to change. */
  private beginning(): ReadonlyArray<Step> {
    return [
      this.submit([{ _tag: "CreateTenant", pubkey: pubkeys[0]! }], 0),
      ...this.steps(this.prng.between(1, 3)),
      this.submit([{ _tag: "CreateRelay", id: "one", tenant: pubkeys[0]!, subdomain: "north" }], 0),
      ...this.steps(this.prng.between(0, 4))
    ]
  }

  /** Both nodes run a consumer, and the one that is likely to hold its lease sleeps for longer than it lasts. */
  private contest(): ReadonlyArray<Step> {
    const { prng } = this
    const consumer = prng.below(this.consumers.length)
    const consume = (node: number): Step => ({ _tag: "Consume", node, consumer, millis: 4000 })
    const sent = () => this.times(prng.between(1, 3), () => this.submit([this.command()], 1))
    return [
      consume(0),
      { _tag: "Sleep", millis: prng.pick([0, 20, 200]) },
      consume(1),
      ...sent(),
      { _tag: "Suspend", node: 0, millis: 1500 },
      ...sent(),
      { _tag: "Sleep", millis: 1400 },
      ...sent(),
      { _tag: "Sleep", millis: 200 },
      ...sent()
    ]
  }

  private step(): Step {
    const { prng } = this
    const roll = prng.next()
    const node = this.node()
    const consumer = prng.below(Math.max(1, this.consumers.length))
    if (roll < 0.4) return this.submit(this.times(prng.pick([1, 1, 1, 2, 3]), () => this.command()), node)
    if (roll < 0.47) {
      return { _tag: "Together", steps: this.times(prng.between(2, 5), () => this.submit([this.command()], node)) }
    }
    if (roll < 0.55) return this.adapter === "sqlite" ? this.transaction(node, 0) : this.submit([this.command()], node)
    if (roll < 0.6) return { _tag: "Sleep", millis: prng.pick([0, 1, 5, 20, 100, 400]) }
    if (roll < 0.66) return { _tag: "Subscribe", node, millis: this.life(), pause: prng.pick([0, 0, 3, 40]) }
    if (roll < 0.72) {
      const from = prng.pick([null, 0, 0, 0.5, 1])
      return { _tag: "Follow", node, from, millis: this.life(), pause: prng.pick([0, 0, 3, 40]) }
    }
    if (roll < 0.84 && this.consumers.length > 0) {
      const kind = prng.next()
      if (kind < 0.6) return { _tag: "Consume", node, consumer, millis: prng.pick([5, 50, 300, 1500]) }
      if (kind < 0.7) return { _tag: "HandleOnce", node, consumer }
      if (kind < 0.8) return { _tag: "Replay", node, consumer, requested: prng.chance(0.4) }
      if (kind < 0.9) return { _tag: "AwaitPosition", node, consumer }
      return { _tag: "Reset", node, consumer, to: prng.pick([0, 0.5, 1]) }
    }
    if (roll < 0.87) return { _tag: "JumpClock", millis: prng.pick([-3_600_000, -1000, 1000, 3_600_000]) }
    if (this.adapter === "memory") return this.submit([this.command()], node)
    if (roll < 0.91) return { _tag: "Restart", node, millis: prng.pick([0, 10, 200]) }
    if (roll < 0.94) return { _tag: "Suspend", node, millis: prng.pick([10, 300, 2000, 7000]) }
    if (roll < 0.945) return { _tag: "Verify", node }
    if (roll < 0.95) return { _tag: "Backup", node }
    return this.note(node)
  }

  private life(): number | null {
    return this.prng.pick([null, null, 5, 60, 500])
  }

  private note(node: number): Step {
    return { _tag: "Note", node, text: `note ${this.count++}` }
  }

  private stop(): Stop {
    const { prng } = this
    return prng.chance(0.25)
      ? { interruptAfter: prng.chance(0.6) ? prng.between(0, 12) : prng.between(0, 80) }
      : prng.chance(0.06)
      ? { timeout: prng.pick([0, 1, 5, 50]) }
      : {}
  }

  private submit(commands: ReadonlyArray<CommandData>, node: number): Submit {
    const { prng } = this
    return {
      _tag: "Submit",
      node,
      commands,
      ...this.stop(),
      ...(prng.chance(0.15) && { expected: prng.between(0, 4) }),
      ...(prng.chance(0.2) && { key: `key ${this.count++}`, attempts: prng.between(1, 3) })
    }
  }

  private transaction(node: number, depth: number): Transaction {
    const { prng } = this
    const inner = (): Step => {
      const roll = prng.next()
      if (roll < 0.55) return { ...this.submit(this.times(prng.pick([1, 1, 2]), () => this.command()), node) }
      if (roll < 0.7) return this.note(node)
      if (roll < 0.8) return { _tag: "Sleep", millis: prng.pick([0, 1, 30]) }
      return depth < 2 ? this.transaction(node, depth + 1) : this.note(node)
    }
    return {
      _tag: "Transaction",
      node,
      steps: this.times(prng.between(1, 4), inner),
      concurrent: prng.chance(0.3),
      fails: prng.chance(0.25),
      ...this.stop()
    }
  }

  private secret(): string {
    const digits = (this.count++).toString(16).padStart(52, "0")
    return `nostr+walletconnect://${"e".repeat(64)}?relay=wss%3A%2F%2Fr.example&secret=${secretMark}${digits}`
  }

  private command(): CommandData {
    const { prng } = this
    const pubkey = prng.pick(pubkeys)
    const id = prng.pick(relayIds)
    const subdomain = prng.pick(subdomains)
    const nwcUrl = prng.chance(0.6) ? this.secret() : null
    const text = `text ${this.count++}`
    return prng.pick<CommandData>([
      { _tag: "CreateTenant", pubkey, ...(prng.chance(0.5) && { nwcUrl }) },
      { _tag: "UpdateTenant", pubkey, nwcUrl },
      { _tag: "UpdateTenant", pubkey, nwcUrl },
      { _tag: "CreateRelay", id, tenant: pubkey, subdomain },
      { _tag: "CreateRelay", id, tenant: pubkey, subdomain },
      { _tag: "UpdateRelay", id, subdomain },
      { _tag: "UpdateRelay", id, infoName: text },
      { _tag: "DeactivateRelay", id },
      { _tag: "MarkRelayDelinquent", id },
      { _tag: "ActivateRelay", id },
      { _tag: "FailRelaySync", id, syncError: text },
      { _tag: "CompleteRelaySync", id },
      { _tag: "DeleteRelaySubscriptionItem", id },
      { _tag: "SetRelaySubscriptionItem", id, stripeSubscriptionItemId: "si_1" },
      { _tag: "SetTenantSubscription", pubkey, stripeSubscriptionId: "sub_1" },
      { _tag: "ClearTenantSubscription", pubkey },
      { _tag: "SetTenantNwcError", pubkey, nwcError: text },
      { _tag: "ClearTenantNwcError", pubkey },
      { _tag: "SetTenantPastDue", pubkey },
      { _tag: "ClearTenantPastDue", pubkey }
    ])
  }

  private consumer(): ConsumerData {
    const { prng } = this
    const hangs = prng.chance(0.2) ? 0.05 : 0
    return {
      from: prng.pick(["beginning", "beginning", "now"]),
      transactional: prng.chance(0.4),
      concurrency: prng.pick([1, 1, 2, 4]),
      onFailure: prng.pick(["halt", "park", "parkResource"]),
      batchSize: prng.chance(0.3) ? prng.between(2, 5) : null,
      activityType: prng.chance(0.2) ? ["create_relay", "update_relay", "deactivate_relay"] : null,
      leaseMillis: prng.pick([100, 300, 1000]),
      stopMillis: prng.pick([0, 50, 1000]),
      timeoutMillis: hangs > 0 ? 200 : null,
      retries: prng.between(0, 3),
      sends: prng.chance(0.5),
      fails: prng.pick([0, 0.1, 0.3]),
      dies: prng.pick([0, 0, 0.1]),
      slow: prng.pick([0, 0.2, 0.5]),
      hangs,
      poison: prng.pick([0, 0, 3, 5])
    }
  }

  private fault(): Fault {
    const { prng } = this
    const [point, most, effects] = prng.pick<readonly [Point, number, ReadonlyArray<FaultEffect>]>([
      ["begin", 25, ["busy", "io", "slow"]],
      ["commit", 25, ["busy", "full", "io", "aborted", "reported", "slow"]],
      ["commit", 12, ["busy", "full", "io", "aborted", "reported"]],
      ["write", 60, ["full", "io", "aborted", "slow"]],
      ["write", 40, ["slow"]],
      ["read", 150, ["io", "busy", "slow"]],
      ["savepoint", 8, ["io", "full"]],
      ["rollback", 4, ["io"]],
      ["watch", 10, ["lost", "doubled"]]
    ])
    const effect = prng.pick(effects)
    return {
      point,
      nth: prng.between(1, most),
      times: prng.pick([1, 1, 1, 2, 4, effect === "busy" ? 40 : effect === "slow" ? 20 : 8]),
      effect,
      ...(effect === "slow" && { millis: prng.pick([2, 30, 400]) })
    }
  }
}
