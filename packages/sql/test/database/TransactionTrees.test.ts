/**
 * Random trees of operations by fibers in transactions, compared with a model: the writes that succeeded in
 * transactions that all commit are complete, and there are no others. `CARAVEL_TREES` is their number.
 */
import { LongRun } from "@caravel/conformance"
import { Command, CreateRelay, Journal, type StorageError } from "@caravel/domain"
import { nextTurn } from "@caravel/domain/adapter"
import { type Postgres, Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, FastCheck as fc, Fiber, type Layer, Queue, Schema, Stream } from "effect"
import { pubkey } from "../fixtures/notes.js"
import { layerTemporary, withPostgres } from "../fixtures/postgres.js"

type Tree =
  | { readonly kind: "note" | "command" | "refused" }
  | { readonly kind: "submit"; readonly count: number }
  | { readonly kind: "pause"; readonly turns: number }
  | {
    readonly kind: "nested"
    readonly body: ReadonlyArray<Tree>
    readonly isParallel: boolean
    readonly fails: boolean
  }
  | { readonly kind: "forked"; readonly tree: Tree }
  | { readonly kind: "interrupted"; readonly tree: Tree; readonly after: number }

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("note", "command") }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("refused") }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("submit"), count: fc.integer({ min: 1, max: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause"), turns: fc.integer({ min: 1, max: 5 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("nested"),
        body: fc.array(tie("tree"), { minLength: 1, maxLength: 5 }),
        isParallel: fc.boolean(),
        fails: fc.integer({ min: 0, max: 3 }).map((n) => n === 0)
      })
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("forked"), tree: tie("tree") }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("interrupted"),
        tree: tie("tree"),
        after: fc.integer({ min: 0, max: 4 })
      })
    }
  ) as fc.Arbitrary<Tree>
}))

/**
 * A transaction or savepoint of the model. It commits if all transactions around it do. One that was interrupted may
 * have committed or not.
 */
interface Scope {
  readonly parent: Scope | undefined
  commits: boolean | "unknown"
}

/** An operation and its outcome. */
interface Deed {
  readonly ids: ReadonlyArray<string>
  readonly isNote: boolean
  readonly scope: Scope | undefined
  exit: "answered" | "failed" | "interrupted"
}

const commits = (scope: Scope | undefined): Scope["commits"] => {
  if (scope === undefined) return true
  const outer = commits(scope.parent)
  if (scope.commits === false || outer === false) return false
  return scope.commits === "unknown" ? "unknown" : outer
}

const property = (layer: Layer.Layer<Postgres.Services, StorageError>, trees: number) =>
  Effect.gen(function*() {
    const command = yield* Command
    const journal = yield* Journal
    const sql = yield* SqlClient
    yield* command.createTenant({ pubkey })
    yield* sql`CREATE TABLE note (id TEXT PRIMARY KEY)`
    const queue = yield* command.notify.subscribe
    yield* Effect.yieldNow()
    let runs = 0
    let steps = 0

    const check = (roots: ReadonlyArray<Tree>) =>
      Effect.gen(function*() {
        const run = String(runs++).padStart(7, "0")
        let ids = 0
        const next = () => `t${run}x${ids++}`
        const deeds: Array<Deed> = []
        const daemons: Array<Fiber.Fiber<unknown, unknown>> = []
        const before = yield* journal.head
        yield* Queue.takeAll(queue)

        const doing = (deed: Deed, effect: Effect.Effect<unknown, unknown>) => {
          deeds.push(deed)
          steps += 1
          // @effect-diagnostics-next-line anyUnknownInErrorContext:off
          return Effect.onExit(effect, (exit) =>
            Effect.sync(() => {
              deed.exit = Exit.isSuccess(exit) ? "answered" : Cause.isInterrupted(exit.cause) ? "interrupted" : "failed"
            }))
        }
        const relay = (id: string) => ({ id, tenant: pubkey, subdomain: id })

        const execute = (tree: Tree, scope: Scope | undefined): Effect.Effect<unknown> => {
          switch (tree.kind) {
            case "note": {
              const id = next()
              // @effect-diagnostics-next-line anyUnknownInErrorContext:off
              return Effect.exit(doing(
                { ids: [id], isNote: true, scope, exit: "interrupted" },
                sql`INSERT INTO note (id) VALUES (${id})`
              ))
            }
            case "command": {
              const id = next()
              // @effect-diagnostics-next-line anyUnknownInErrorContext:off
              return Effect.exit(doing(
                { ids: [id], isNote: false, scope, exit: "interrupted" },
                command.createRelay(relay(id))
              ))
            }
            case "refused":
              return Effect.exit(command.createRelay({ ...relay(next()), tenant: "b".repeat(64) }))
            case "submit": {
              const list = Array.from({ length: tree.count }, next)
              // @effect-diagnostics-next-line anyUnknownInErrorContext:off
              return Effect.exit(doing(
                { ids: list, isNote: false, scope, exit: "interrupted" },
                command.submit(list.map((id) => Schema.decodeSync(CreateRelay)({ _tag: "CreateRelay", ...relay(id) })))
              ))
            }
            case "pause":
              return Effect.repeatN(nextTurn, tree.turns)
            case "nested": {
              const own: Scope = { parent: scope, commits: false }
              steps += 1
              const body = Effect.forEach(tree.body, (child) => execute(child, own), {
                concurrency: tree.isParallel ? "unbounded" : 1
              })
              return sql.withTransaction(tree.fails ? Effect.zipRight(body, Effect.fail("undo")) : body).pipe(
                Effect.onExit((exit) =>
                  Effect.sync(() => {
                    own.commits = Exit.isSuccess(exit) || Cause.isInterrupted(exit.cause) && "unknown"
                  })
                ),
                Effect.exit
              )
            }
            case "forked":
              return Effect.map(Effect.forkDaemon(execute(tree.tree, scope)), (fiber) => daemons.push(fiber))
            case "interrupted":
              return Effect.gen(function*() {
                const fiber = yield* Effect.forkDaemon(execute(tree.tree, scope))
                daemons.push(fiber)
                if (tree.after > 0) yield* Effect.repeatN(nextTurn, tree.after - 1)
                yield* Fiber.interrupt(fiber)
              })
          }
        }

        yield* Effect.forEach(roots, (root) => execute(root, undefined), { concurrency: "unbounded" })
        for (let n = 0; n < daemons.length; n++) yield* Fiber.await(daemons[n]!)

        const idsOf = (rows: ReadonlyArray<object>) => rows.map((row) => String(Object.values(row)[0]))
        const notes = new Set(idsOf(yield* sql`SELECT id FROM note`))
        const relays = new Set(
          idsOf(yield* sql`SELECT id FROM caravel_relay WHERE id >= ${`t${run}`} AND id < ${`t${run}y`}`)
        )
        let expected = 0
        for (const { exit, ids, isNote, scope } of deeds) {
          const there = ids.filter((id) => (isNote ? notes : relays).has(id)).length
          // All of it or nothing.
          expect([0, ids.length]).toContain(there)
          if (exit === "failed" || commits(scope) === false) expect(there).toBe(0)
          else if (exit === "answered" && commits(scope) === true) expect(there).toBe(ids.length)
          expected += there
        }
        expect(notes.size + relays.size).toBe(expected)
        const events = (yield* journal.read(before, 10_000)).map(({ resourceId }) => resourceId)
        expect([...events].sort()).toEqual([...relays].sort())
        expect([...yield* Queue.takeAll(queue)].map(({ resourceId }) => resourceId)).toEqual(events)
        yield* sql`DELETE FROM note`
      })

    const runtime = yield* Effect.runtime<never>()
    yield* Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(tree, { minLength: 1, maxLength: 4 }), (roots) =>
          check(roots).pipe(
            Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => "it hangs" }),
            Effect.provide(runtime),
            Effect.runPromise
          )),
        { numRuns: trees, seed: LongRun.seed, endOnFailure: true }
      )
    )
    const verified = yield* Stream.runCollect(journal.verify)
    expect([...verified].flatMap(({ differences }) => differences)).toEqual([])
    if (trees > 40) process.stderr.write(`${trees} trees, ${steps} steps, ${yield* journal.head} events\n`)
  }).pipe(Effect.provide(layer))

const tests = (layer: Layer.Layer<Postgres.Services, StorageError>, long: number) =>
  it.scopedLive(
    "the writes of fibers in a transaction are all committed or all undone",
    () => property(layer, LongRun.count("CARAVEL_TREES", { usual: 20, long })),
    LongRun.timeout(120_000)
  )

// These are more than 100,000 operations on SQLite, and 10,000 on PostgreSQL.
describe("SQLite", () => tests(Sqlite.layerTemporary, 10_000))
withPostgres("PostgreSQL", (url) => tests(layerTemporary(url), 1_100))
