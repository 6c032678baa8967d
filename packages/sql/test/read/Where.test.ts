import { type ActivityFilter, Position, Pubkey, RelayId } from "@caravel/domain"
import { Sqlite } from "@caravel/sql"
import { SqlClient } from "@effect/sql/SqlClient"
import { expect, it } from "@effect/vitest"
import { Effect, Predicate } from "effect"
import { activitiesWhere } from "../../src/read/Where.js"

/** The steps in which SQLite finds the activities that match. */
const planOf = (filter: Partial<ActivityFilter>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient
    const [clause, params] = activitiesWhere({ after: Position.make(0), ...filter, limit: 100 })
    const steps = yield* sql.unsafe(`EXPLAIN QUERY PLAN SELECT * FROM caravel_activity ${clause}`, params)
    return steps.map((step) => Predicate.hasProperty(step, "detail") && step.detail)
  })

it.scoped("activities are found by the index of their resource, their tenant or their type, in this order", () =>
  Effect.gen(function*() {
    const activityType = "fail_relay_sync"
    const tenant = Pubkey.make("a".repeat(64))
    const byType = "SEARCH caravel_event USING INDEX caravel_event_activity_type"
    expect(yield* planOf({ activityType })).toEqual([`${byType} (activity_type=? AND rowid>?)`])
    expect(yield* planOf({ activityType, upTo: Position.make(9) })).toEqual([
      `${byType} (activity_type=? AND rowid>? AND rowid<?)`
    ])
    expect(yield* planOf({ activityType: [activityType, "create_relay"] })).toContain(
      `${byType} (activity_type=? AND rowid>?)`
    )
    expect(yield* planOf({ activityType, tenant })).toEqual([
      "SEARCH caravel_event USING INDEX caravel_event_tenant (tenant=? AND rowid>?)"
    ])
    expect((yield* planOf({ activityType, tenant, resourceId: RelayId.make("a") }))[0]).toMatch(
      /INDEX sqlite_autoindex.*resource_id=\?/
    )
  }).pipe(Effect.provide(Sqlite.layerTemporary)))
