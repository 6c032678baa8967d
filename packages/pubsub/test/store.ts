/** A checkpoint store for one consumer that never parks. It has transactions, and its writes can be made to fail. */
import type { Position, StorageError } from "@caravel/domain"
import { ConsumerStore } from "@caravel/pubsub"
import { Effect, Exit, Layer, Option } from "effect"
import { epoch } from "./world.js"

const unused = Effect.dieMessage("not in these tests")

export class Store {
  position: Position | undefined
  /** The positions that handlers have written in transactions. */
  readonly written: Array<number> = []
  /** Every move of the checkpoint. */
  readonly moves: Array<Position> = []
  /** How often leases were renewed and replay requests were polled. */
  looks = 0
  /** Runs before each move. */
  beforeMove: (to: Position) => Effect.Effect<void, StorageError> = () => Effect.void
  /** Runs before the checkpoint is read. */
  beforeFind: Effect.Effect<void, StorageError> = Effect.void
  private holding: ConsumerStore.Holding = { fence: 0, heartbeat: 0, owner: null }

  /** Takes the lease away. */
  revoke() {
    this.holding = { fence: this.holding.fence + 1, heartbeat: 0, owner: null }
  }

  private readonly renew = (lease: ConsumerStore.Lease) =>
    Effect.suspend(() => {
      this.looks++
      const { fence, heartbeat, owner } = this.holding
      if (fence !== lease.fence || owner === null) return Effect.fail(new ConsumerStore.LeaseLost(lease))
      this.holding = { fence, heartbeat: heartbeat + 1, owner }
      return Effect.void
    })

  private readonly transaction = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const { position, written: { length } } = this
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) return
          this.written.length = length
          this.position = position
        }))
    })

  private readonly find = Effect.zipRight(
    Effect.suspend(() => this.beforeFind),
    Effect.sync(() =>
      Option.map(Option.fromNullable(this.position), (position): ConsumerStore.Checkpoint => ({
        name: "c",
        position,
        epoch,
        filter: {},
        attempts: 0,
        failedPosition: null,
        lastError: null,
        progressedAt: null,
        owner: this.holding.owner,
        parked: 0
      }))
    )
  )

  readonly layer = Layer.succeed(ConsumerStore.ConsumerStore, {
    checkpoints: {
      register: (_, position) => Effect.sync(() => void (this.position ??= position)),
      find: () => this.find,
      list: unused,
      backlog: () => Effect.succeed({ activities: 0, since: null }),
      move: (lease, from, to) =>
        Effect.zipRight(
          Effect.zipRight(this.renew(lease), this.beforeMove(to)),
          Effect.suspend(() => {
            if (this.position !== from && this.position !== to) return Effect.fail(new ConsumerStore.LeaseLost(lease))
            this.position = to
            this.moves.push(to)
            return Effect.void
          })
        ),
      recordFailure: () => Effect.void,
      reset: () => unused
    },
    leases: {
      holding: () => Effect.sync(() => Option.some(this.holding)),
      acquire: (consumer, task, seen, owner) =>
        Effect.sync(() => {
          const { fence, heartbeat } = this.holding
          if (fence !== seen.fence || heartbeat !== seen.heartbeat) return Option.none()
          this.holding = { fence: fence + 1, heartbeat, owner }
          return Option.some({ consumer, task, fence: fence + 1 })
        }),
      renew: this.renew,
      release: (lease) =>
        Effect.sync(() => {
          if (lease.fence === this.holding.fence) this.holding = { ...this.holding, owner: null }
        })
    },
    parking: {
      park: () => unused,
      recordFailure: () => unused,
      unpark: () => unused,
      settled: () => unused,
      list: () => unused,
      isParkedBefore: () => unused,
      resources: () => unused,
      drop: () => unused,
      requestReplay: () => unused,
      replays: () =>
        Effect.sync(() => {
          this.looks++
          return Option.some({ requested: 0, done: 0 })
        }),
      completeReplays: () => unused
    },
    transaction: this.transaction,
    outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => effect
  })
}
