/** `Journal.verify` on a database file: snapshots, pages, and a damaged journal. */
import { Command, type Drift, Journal } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { describe, expect, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Fiber, Stream } from "effect"
import { backdoor } from "../fixtures/backdoor.js"
import { count, filled, nwcUrl, statements, tenant, test, verify } from "../fixtures/filled.js"
import { raw, temporaryFile } from "../fixtures/sqlite.js"

const other = "b".repeat(64)

describe("a verification", () => {
  test(
    "sees one state while others write, and blocks no writer",
    Effect.gen(function*() {
      yield* filled
      const journal = yield* Journal
      const command = yield* Command
      let step = 0
      const write = Effect.suspend(() =>
        Effect.zipRight(
          command.deactivateRelay({ id: `r${++step}` }),
          command.createRelay({ id: `x${step}`, tenant, subdomain: `x${step}` })
        )
      )
      const steps = yield* Stream.runCollect(Stream.tap(journal.verify, () => write))
      expect(Chunk.size(steps)).toBeGreaterThan(5)
      expect(Chunk.unsafeLast(steps)).toMatchObject({ events: count + 1, head: count + 1, relays: count, secrets: 1 })
      expect(Chunk.toReadonlyArray(steps).flatMap(({ differences }) => differences)).toEqual([])
      expect((yield* verify).differences).toEqual([])
    })
  )

  test(
    "that is interrupted leaves no transaction open",
    Effect.gen(function*() {
      yield* filled
      const journal = yield* Journal
      yield* Stream.runDrain(Stream.take(journal.verify, 1))
      const reached = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        Stream.runForEach(journal.verify, () => Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never))
      )
      yield* Deferred.await(reached)
      yield* Effect.flatMap(Command, (command) => command.deactivateRelay({ id: "r1" }))
      const checkpoint = Effect.map(statements("PRAGMA wal_checkpoint(TRUNCATE)"), ([rows]) => rows?.[0])
      // A reader of the old state would prevent this.
      expect(yield* checkpoint).toMatchObject({ busy: 1 })
      yield* Fiber.interrupt(fiber)
      // SQLite's check of the file ends on its own thread, which the interruption does not wait for.
      yield* Effect.repeat(checkpoint, { until: (row) => (row as { readonly busy: number }).busy === 0 })
    })
  )

  test(
    "covers more rows and secrets than fit on a page",
    Effect.gen(function*() {
      yield* filled
      yield* statements(
        `INSERT INTO caravel_relay SELECT 'ghost-' || id, tenant, 'ghost-' || subdomain, plan, info_name, info_icon,
          info_description, policy_public_join, policy_strip_signatures, groups_enabled, management_enabled,
          blossom_enabled, livekit_enabled, push_enabled, status, synced, sync_error, stripe_subscription_item_id,
          created_at, version FROM caravel_relay`,
        `INSERT INTO caravel_secret (id, value) SELECT printf('01a20817-9f5e-75be-8c41-%012d', substr(id, 2)), '${nwcUrl}' FROM caravel_relay
          WHERE id NOT LIKE 'ghost%'`,
        `UPDATE caravel_relay SET version = 7 WHERE id = 'r${count - 1}'`,
        // The first and the last relay in order, on different pages, exchange their subdomains.
        "UPDATE caravel_relay SET subdomain = 'between' WHERE id = 'r0'",
        "UPDATE caravel_relay SET subdomain = 'r0' WHERE id = 'r999'",
        "UPDATE caravel_relay SET subdomain = 'r999' WHERE id = 'r0'"
      )
      const { differences, last } = yield* verify
      expect(last).toMatchObject({ relays: 2 * count, secrets: count + 1 })
      expect(differences.length).toBe(2 * count + 3)
      expect(JSON.stringify(differences)).not.toContain("SECRET")
      const journal = yield* Journal
      expect(yield* journal.rebuild()).toBe(2 * count + 3)
      expect((yield* verify).differences).toEqual([])
      expect(yield* journal.rebuild()).toBe(0)
    })
  )

  test(
    "reports values of a row that are invalid in the model",
    Effect.gen(function*() {
      yield* filled
      yield* statements(
        "UPDATE caravel_relay SET plan = 'No Plan', created_at = 9e15 WHERE id = 'r1'",
        "UPDATE caravel_tenant SET stripe_customer_id = ''"
      )
      expect((yield* verify).differences).toMatchObject([
        { resourceId: tenant, field: "stripeCustomerId", expected: null, found: "" },
        { resourceId: "r1", field: "plan", expected: "free", found: "No Plan" },
        { resourceId: "r1", field: "createdAt", found: 9e15 }
      ])
      expect(yield* Effect.flatMap(Journal, (journal) => journal.rebuild())).toBe(2)
      expect((yield* verify).differences).toEqual([])
    })
  )
})

describe("a damaged journal", () => {
  const where = "WHERE resource_id = 'r1' AND resource_version = 2"
  const damages: ReadonlyArray<readonly [statement: string, difference: Partial<Drift>, isSound?: boolean]> = [
    [`UPDATE caravel_event SET payload = '{"status":"SECRET"}' ${where}`, {
      kind: "unreadable",
      field: "payload.status"
    }],
    [
      `UPDATE caravel_event SET payload = '{"status":{"constructor":{"name":{"toString":1,"valueOf":1}}}}' ${where}`,
      { kind: "unreadable", field: "payload.status" }
    ],
    [`UPDATE caravel_event SET payload = '"SECRET"' ${where}`, { kind: "unreadable", field: "payload" }],
    [`UPDATE caravel_event SET type = 'Mutiny' ${where}`, { kind: "unreadable", field: "type" }],
    [`UPDATE caravel_event SET id = 'no id' ${where}`, { kind: "unreadable", field: "id" }],
    [`UPDATE caravel_event SET resource_version = 4 ${where}`, {
      kind: "inconsistent",
      field: "version",
      expected: 2,
      found: 4
    }],
    [
      `UPDATE caravel_event SET type = 'RelayCreated', activity_type = 'create_relay', payload = (
        SELECT payload FROM caravel_event WHERE resource_id = 'r1' AND resource_version = 1) ${where}`,
      { kind: "inconsistent", field: "type", expected: "a change", found: "RelayCreated" }
    ],
    [
      `UPDATE caravel_event SET type = 'TenantPastDueCleared', activity_type = NULL, payload = '{"pastDueAt":null}' ${where}`,
      { kind: "inconsistent", field: "resourceType", expected: "tenant", found: "relay" }
    ],
    [
      `UPDATE caravel_event SET tenant = '${other}' ${where}`,
      { kind: "inconsistent", field: "tenant", expected: tenant, found: other },
      true
    ],
    [
      `UPDATE caravel_event SET activity_type = NULL ${where}`,
      { kind: "inconsistent", field: "activityType", expected: "deactivate_relay", found: null },
      true
    ]
  ]

  it.scopedLive.each(damages)("%s", ([statement, difference, isSound = false]) =>
    Effect.gen(function*() {
      yield* filled
      const command = yield* Command
      const { position } = yield* command.deactivateRelay({ id: "r1" })
      // If it were the last event, the journal would seem to have gone back.
      yield* command.deactivateRelay({ id: "r2" })
      yield* statements("DROP TRIGGER caravel_event_unchanged", statement)
      const { differences } = yield* verify
      expect(differences).toEqual([
        { expected: null, found: null, ...difference, resourceType: "relay", resourceId: "r1", position }
      ])
      const before = yield* backdoor.dump
      const rebuilt = yield* Effect.either(Effect.flatMap(Journal, (journal) => journal.rebuild()))
      expect(rebuilt).toMatchObject(isSound ? { right: 0 } : { left: { _tag: "StorageError", reason: "corrupt" } })
      expect(yield* backdoor.dump).toEqual(before)
    }).pipe(Effect.provide(Sqlite.layerTemporary)))

  it.scopedLive("that lacks events, in the middle or at its end, is not used to rebuild rows", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryFile
      yield* Effect.gen(function*() {
        yield* filled
        const command = yield* Command
        yield* command.deactivateRelay({ id: "r1" })
        yield* command.deactivateRelay({ id: "r2" })
        yield* command.activateRelay({ id: "r2" })
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      const database = yield* raw(filename)
      for (
        const text of [
          "DROP TRIGGER caravel_event_undeleted",
          `DELETE FROM caravel_event WHERE position = ${count + 2} OR position > ${count + 3}`
        ]
      ) database.exec(text)
      yield* Effect.gen(function*() {
        const { differences } = yield* verify
        expect(differences.filter(({ resourceType }) => resourceType === "event")).toMatchObject([
          { kind: "missing", resourceId: String(count + 2), position: count + 2 },
          { kind: "missing", resourceId: String(count + 4), position: count + 4 }
        ])
        const before = yield* backdoor.dump
        const error = yield* Effect.flip(Effect.flatMap(Journal, (journal) => journal.rebuild()))
        expect(error.message).toContain(`the events from position ${count + 2} are damaged or missing`)
        expect(yield* backdoor.dump).toEqual(before)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
    }))

  test(
    "that contains a subdomain twice is not used to rebuild rows",
    Effect.gen(function*() {
      yield* filled
      yield* statements(
        "DROP TRIGGER caravel_event_unchanged",
        "UPDATE caravel_event SET payload = json_set(payload, '$.subdomain', 'r1') WHERE resource_id = 'r2'"
      )
      expect((yield* verify).differences).toMatchObject([
        { resourceId: "r2", kind: "field", field: "subdomain", expected: "r1" },
        { resourceId: "r2", kind: "inconsistent", field: "subdomain", found: "r1" }
      ])
      const before = yield* backdoor.dump
      const error = yield* Effect.flip(Effect.flatMap(Journal, (journal) => journal.rebuild()))
      expect(error).toMatchObject({ _tag: "StorageError", operation: "Journal.rebuild", reason: "corrupt" })
      expect(error.message).toContain("the subdomain r1 to the relays r1 and r2")
      expect(yield* backdoor.dump).toEqual(before)
    })
  )
})
